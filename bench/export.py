"""What the runtimes need beside a state dict: the network as ONNX, and an input.

Usage: export.py NAME WEIGHTS.pth --onnx FILE --input FILE
"""

import argparse

import torch
import torchvision

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("name")
parser.add_argument("weights")
parser.add_argument("--onnx", required=True)
parser.add_argument("--input", required=True)
arguments = parser.parse_args()

torch.manual_seed(0)
x = torch.randn(1, 3, 224, 224)
x.numpy().tofile(arguments.input)
model = getattr(torchvision.models, arguments.name)(weights=None).eval()
model.load_state_dict(torch.load(arguments.weights))
torch.onnx.export(model, x, arguments.onnx, opset_version=13, input_names=["x"], output_names=["y"])
