#!/usr/bin/python3
"""Writes the small checkpoints in test/expected/checkpoints/ and what PyTorch reads in them.

Usage: /usr/bin/python3 scripts/pytorch/checkpoints.py   (PyTorch 1.13, NumPy)

For each NAME.pth, NAME.safetensors holds the tensors of the state dict under the names that the library should give
them, contiguous and in the types that it should give them (half and bfloat16 as float32, integers as int32).
"""

import argparse
import json
import os
import struct
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import numpy
import torch

OUT = Path(__file__).resolve().parents[2] / "test" / "expected" / "checkpoints"
DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.int32: "I32", torch.uint8: "U8"}
WIDER = {torch.float16: torch.float32, torch.bfloat16: torch.float32, torch.bool: torch.uint8,
         torch.int64: torch.int32, torch.int16: torch.int32, torch.int8: torch.int32}


def write_safetensors(path, tensors):
    header, chunks, begin = {}, [], 0
    for name, tensor in tensors.items():
        tensor = tensor.detach().to(WIDER.get(tensor.dtype, tensor.dtype)).contiguous()
        data = tensor.numpy().tobytes()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [begin, begin + len(data)]}
        chunks.append(data)
        begin += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def write(name, saved, expected, **options):
    torch.save(saved, OUT / f"{name}.pth", **options)
    write_safetensors(OUT / f"{name}.safetensors", expected)


def deflate(name, source):
    """The same archive with its members compressed, as zip tools write it."""
    with zipfile.ZipFile(OUT / f"{source}.pth") as old, zipfile.ZipFile(OUT / f"{name}.pth", "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(zipfile.ZipInfo(member), old.read(member), zipfile.ZIP_DEFLATED)
    (OUT / f"{name}.safetensors").write_bytes((OUT / f"{source}.safetensors").read_bytes())


def element_types():
    values = torch.tensor([[-1.5, 0.0, 1e-7], [3.25, 60000.0, 0.1]])
    halves = torch.tensor([0x0001, 0x03FF, 0x0400, 0x3C01, 0x7BFF, -0x8000, 0x7C00, -0x0400, -0x7FFF], dtype=torch.int16)
    bfloats = torch.tensor([0x0001, 0x007F, 0x3F81, 0x7F7F, -0x8000, 0x7F80, -0x0080], dtype=torch.int16)
    return OrderedDict(
        double=values.double(), float=values, half=values.half(), half_bits=halves.view(torch.float16),
        bfloat16=values.bfloat16(), bfloat16_bits=bfloats.view(torch.bfloat16),
        long=torch.tensor([2**31 - 1, -2**31, -1]), int=torch.tensor([[7, -8]], dtype=torch.int32),
        short=torch.tensor([-32768, 32767], dtype=torch.int16), char=torch.tensor([-128, 127], dtype=torch.int8),
        byte=torch.tensor([0, 255], dtype=torch.uint8), bool=torch.tensor([True, False]),
        scalar=torch.tensor(2.5), empty=torch.zeros(0, 3), num_batches_tracked=torch.tensor(12),
    )


def views():
    base = torch.arange(24.0).reshape(2, 3, 4)
    return OrderedDict(
        base=base, transposed=base.permute(2, 0, 1), sliced=base[:, 1:, ::2], expanded=base[0, 0, :3].expand(2, 3),
        shared=base.view(-1)[5:9], last=base[1, 2, 3],
        channels_last=torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    )


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(OrderedDict(conv=torch.nn.Conv2d(1, 2, 2), bn=torch.nn.BatchNorm2d(2)))


def training_checkpoint(model):
    """What a training script saves: data parallel, with an optimizer, a schedule, NumPy scalars and its arguments."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.zeros(1, 1, 3, 3)).sum().backward()
    optimizer.step()
    state = OrderedDict(("module." + key, value) for key, value in model.state_dict().items())
    return {"epoch": 3, "best_prec1": numpy.float64(91.5), "state_dict": state, "optimizer": optimizer.state_dict(),
            "milestones": Counter([1, 2]), "args": argparse.Namespace(lr=0.1, out=None), "big": 2**70, "raw": b"\x00\xff",
            "dtype": torch.float16, "size": torch.Size([1, 2]), "names": {"a", "b"}, "device": torch.device("cpu")}


class Hostile:
    """Runs a command when Python unpickles it."""

    def __reduce__(self):
        return os.system, ("echo this must not run",)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    legacy = {"_use_new_zipfile_serialization": False}
    types, shapes, model = element_types(), views(), network()
    write("types-zip", types, types)
    write("types-legacy", types, types, **legacy)
    write("views-zip", shapes, shapes)
    write("views-legacy", shapes, shapes, **legacy)
    deflate("views-deflated", "views-zip")
    parameters = {"weight": torch.nn.Parameter(torch.ones(2, 2) / 3), "frozen": torch.nn.Parameter(torch.zeros(1), False)}
    write("parameters", parameters, parameters)
    checkpoint = training_checkpoint(model)
    for protocol in (2, 3, 4, 5):
        write(f"training-protocol{protocol}", checkpoint, model.state_dict(), pickle_protocol=protocol)
    write("training-legacy-protocol4", checkpoint, model.state_dict(), pickle_protocol=4, **legacy)
    write("nested", {"model": {"state_dict": {"module.module.w": torch.ones(1)}}}, {"w": torch.ones(1)})
    proto = {"__proto__": torch.ones(1), "constructor": torch.zeros(1), "toString": torch.ones(2)}
    write("prototype-keys", proto, proto)
    densenet = {"features.denseblock1.denselayer1.norm.1.weight": torch.ones(2), "features.norm0.weight": torch.zeros(2)}
    write("densenet-old-names", densenet, {"features.denseblock1.denselayer1.norm1.weight": torch.ones(2), "features.norm0.weight": torch.zeros(2)})
    torch.jit.save(torch.jit.script(torch.nn.Identity()), str(OUT / "torchscript.pt"))
    torch.save(torch.nn.Identity(), OUT / "whole-module.pth")
    torch.save({"w": torch.ones(1), "x": Hostile()}, OUT / "hostile.pth")


if __name__ == "__main__":
    main()
