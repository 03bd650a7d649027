"""Makes a network, most with random weights, and what PyTorch computes with it in float64 (see README.md for the keys).

Usage: networks.py NAME --out DIR [--force]
"""

import argparse
import sys
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable
from unittest import mock

import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision.models
import torchvision.transforms.functional as TF
from PIL import Image

import fm_g_cam
import safetensors_io
from architectures import (
    CifarResNet, PreActivationBlock, PreActivationBottleneck, PreActivationResNet, ScenesResNet
)

TOP = 5
LOGIT_STD = 2.0
SMALL_SIZE = 64
SMALL_DRAWS = 16
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
ROOT = Path(__file__).parent.parent.parent

# --- which networks --------------------------------------------------------------------------------------------------


@dataclass
class Network:
    build: Callable[[], nn.Module]
    layer: str  # the default target layer
    modules: list  # whose outputs are recorded
    differentiated: list  # whose gradients are too: a block and, after it, a convolution and a batch norm
    size: int = 224
    branch_end: str = "none"  # in a residual block, the module that sets the scale of the branch
    branches: int = 1  # how many residual branches the longest stage adds up
    weights: Path = None  # of a trained network
    picture: Path = None  # in place of noise


def resnet(name, depths, convs):
    last = f"layer4.{depths[3] - 1}"
    return Network(
        build=getattr(torchvision.models, name),
        layer="layer4",
        modules=[
            "conv1", "bn1", "relu", "maxpool", "layer1.0.conv1", "layer1.0.bn2", "layer1", "layer2.0.downsample.0",
            "layer2.0.downsample.1", "layer2.0", "layer2", "layer3.1.conv2", "layer3", f"{last}.conv{convs}",
            f"{last}.bn{convs}", "layer4.1", "layer4", "avgpool", "fc",
        ],
        differentiated=["layer3", "layer4.0.conv2", "layer4.0.bn1"],
        branch_end=f"bn{convs}",
        branches=max(depths),
    )


def pre_activation_resnet(block, depths, convs):
    return Network(
        build=lambda: PreActivationResNet(block, depths),
        layer="relu",
        modules=[
            "conv1", "maxpool", "layer1.0.bn1", "layer1.0.conv1", "layer1.0.bn2", "layer1", "layer2.0.downsample.0",
            "layer2.0", "layer2", "layer3.1.conv2", "layer3", f"layer4.{depths[3] - 1}.conv{convs}", "layer4.1",
            "layer4", "bn", "relu", "avgpool", "fc",
        ],
        differentiated=["layer3", "layer4.0.conv2", "layer4.0.bn2"],
        branch_end=f"conv{convs}",
        branches=max(depths),
    )


def cifar_resnet(depth):
    last = f"layer3.{depth - 1}"
    return Network(
        build=lambda: CifarResNet(depth),
        layer="layer3",
        modules=[
            "conv1", "bn1", "layer1.0.conv1", "layer1.0.bn2", "layer1", "layer2.0.shortcut", "layer2.0", "layer2",
            "layer3.1.conv2", f"{last}.conv2", f"{last}.bn2", "layer3.1", "layer3", "linear",
        ],
        differentiated=["layer2", "layer3.0.conv2", "layer3.0.bn1"],
        size=64,
        branch_end="bn2",
        branches=depth,
    )


def densenet121():
    return Network(
        build=torchvision.models.densenet121,
        layer="features",
        modules=[
            "features.conv0", "features.norm0", "features.pool0", "features.denseblock1.denselayer1.norm1",
            "features.denseblock1.denselayer1.conv1", "features.denseblock1.denselayer1.norm2",
            "features.denseblock1.denselayer1.conv2", "features.denseblock1.denselayer2", "features.denseblock1",
            "features.transition1.norm", "features.transition1.conv", "features.transition1", "features.denseblock2",
            "features.denseblock3", "features.denseblock4.denselayer16.conv2", "features.denseblock4", "features.norm5",
            "classifier",
        ],
        differentiated=[
            "features.denseblock3", "features.transition3.conv", "features.denseblock4.denselayer1.norm2"
        ],
    )


def scenes_resnet():
    return Network(
        build=ScenesResNet,
        layer="layer4",
        modules=["conv1", "bn1", "layer1.1.conv2", "layer2.0.downsample.1", "layer2", "layer3.0", "layer4", "fc"],
        differentiated=["layer3", "layer4.0.conv2", "layer4.0.bn1"],
        size=96,
        weights=ROOT / "models/resnet-scenes.safetensors",
        picture=ROOT / "examples/car-dog.png",
    )


NETWORKS = {
    "resnet18": resnet("resnet18", [2, 2, 2, 2], convs=2),
    "resnet34": resnet("resnet34", [3, 4, 6, 3], convs=2),
    "resnet50": resnet("resnet50", [3, 4, 6, 3], convs=3),
    "resnet152": resnet("resnet152", [3, 8, 36, 3], convs=3),
    "densenet121": densenet121(),
    "resnet18v2": pre_activation_resnet(PreActivationBlock, [2, 2, 2, 2], convs=2),
    "resnet50v2": pre_activation_resnet(PreActivationBottleneck, [3, 4, 6, 3], convs=3),
    "resnet20-cifar10": cifar_resnet(3),
    "resnet56-cifar10": cifar_resnet(9),
    "resnet-scenes": scenes_resnet(),
}

# --- random images and weights ---------------------------------------------------------------------------------------


def random_images(count, size):
    """Noise of many scales, normalised as photographs are: [count,3,size,size]."""
    octaves = [
        F.interpolate(torch.randn(count, 3, cells, cells), (size, size), mode="bilinear", align_corners=False)
        for cells in [3, 6, 12, 24, 48]
    ]
    image = (0.5 + 0.15 * sum(octaves)).clamp(0, 1)
    return TF.normalize(image, MEAN, STD)


def prepared(picture, size):
    """A picture, squashed to size x size and normalised: [1,3,size,size]."""
    squashed = Image.open(picture).convert("RGB").resize((size, size), Image.BILINEAR)
    return TF.normalize(TF.to_tensor(squashed), MEAN, STD)[None]


@torch.no_grad()
def randomise(model, network):
    """Random parameters and statistics that keep activations near unit scale through any depth."""
    for name, module in model.named_modules():
        # All the branches of a stage together weigh as much as its shortcut: the sum would grow with depth otherwise.
        gain = network.branches**-0.5 if name.endswith(network.branch_end) else 1.0
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            module.weight *= gain
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.6, 1.4).mul_(gain)
            module.bias.normal_(0, 0.2)
    calibrate_statistics(model, random_images(4, network.size))
    randomise_head(model, random_images(4, network.size))


def calibrate_statistics(model, images):
    """Sets the running statistics to those of the images, somewhat displaced."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    model.train()(images)
    model.eval()
    for norm in norms:
        norm.running_mean += 0.1 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.8, 1.25)


def randomise_head(model, images):
    """Random weights of the last linear layer, blind to the mean feature: else one class would win in every place."""
    *_, head = (module for module in model.modules() if isinstance(module, nn.Linear))
    with mock.patch.object(head, "forward", side_effect=head.forward) as spy:
        model(images)
    features = spy.call_args.args[0]
    common = F.normalize(features.mean(0), dim=0)
    weight = torch.randn_like(head.weight)
    weight -= torch.outer(weight @ common, common)
    head.weight.copy_(weight * LOGIT_STD / (features @ weight.T).std())
    head.bias.normal_(0, 0.1)


@torch.no_grad()
def draw_small_images(model, network):
    """Of several batches, the one that keeps the ReLUs after the differentiated block furthest from their kink.

    A ReLU input within rounding of zero may fall on either side in float32, and its gradient with it.
    """
    batches = [random_images(2, network.size)[..., :SMALL_SIZE, :SMALL_SIZE].double() for _ in range(SMALL_DRAWS)]
    return max(batches, key=lambda images: relu_margin(model, images, after=network.differentiated[0]))


def relu_margin(model, images, after):
    """The smallest magnitude among the inputs of all ReLUs that run after the module `after`."""
    margins = []

    def measure(x, inplace=False):
        margins.append(x.abs().min())
        return torch.relu(x)

    handle = model.get_submodule(after).register_forward_hook(lambda *_: margins.clear())
    with mock.patch.object(F, "relu", measure):
        model(images)
    handle.remove()
    return min(margins)


# --- expected values -------------------------------------------------------------------------------------------------


@contextmanager
def recording(model, names):
    """Gives {name: output} of the modules, just as they returned it: what follows works, in place or not, on a copy."""
    outputs = {}

    def keep_as(name):
        def keep(_module, _inputs, output):
            outputs[name] = output
            return output.clone()

        return keep

    handles = [model.get_submodule(name).register_forward_hook(keep_as(name)) for name in names]
    yield outputs
    for handle in handles:
        handle.remove()


def activations_and_logits(model, layer, image):
    if layer == "features":  # a DenseNet's last ReLU is a function call, which no hook sees
        activations = F.relu(model.features(image))
        return activations, model.classifier(activations.mean((2, 3)))
    with recording(model, [layer]) as outputs:
        logits = model(image)
    return outputs[layer], logits


def gradients_of(logits, classes, target):
    """d (sum over the batch of logits[:, k]) / d target, for each class k: [K, ...target shape]."""
    return torch.stack([torch.autograd.grad(logits[:, k].sum(), target, retain_graph=True)[0] for k in classes])


def explanation(model, network, image):
    activations, logits = activations_and_logits(model, network.layer, image)
    probabilities = logits[0].softmax(0)
    top = fm_g_cam.top_classes(probabilities, TOP)
    gradients = gradients_of(logits, top, activations)[:, 0]
    if not network.weights:
        check_scale("logits", logits, 1, 5)
        check_scale(network.layer, activations)
    return {
        "input": image, "logits": logits[0], "probs": probabilities, "top": top.int(),
        "activations": activations[0], "gradients": gradients, **fm_g_cam.fm_g_cam(gradients, activations[0]),
    }


def module_outputs(model, network, images):
    with recording(model, dict.fromkeys(network.modules + network.differentiated)) as outputs:
        logits = model(images)
    for name, output in outputs.items():
        if not network.weights:
            check_scale(name, output)
    top = fm_g_cam.top_classes(logits[0], 2)
    return {
        "small_input": images, "small_top": top.int(),
        **{f"module/{name}": output for name, output in outputs.items()},
        **{f"module_grad/{name}": gradients_of(logits, top, outputs[name]) for name in network.differentiated},
    }


def check_scale(name, tensor, low=0.1, high=10):
    std = tensor.std().item()
    assert low < std < high, f"{name}: standard deviation {std:.3g} is not between {low} and {high}"


# --- files -----------------------------------------------------------------------------------------------------------


def make(name, network, weight_paths, expected_path):
    torch.manual_seed(zlib.crc32(name.encode()))
    model = network.build().requires_grad_(False)
    if network.weights:
        model.load_state_dict(safetensors_io.load(network.weights))
        model.eval()
    else:
        randomise(model, network)
    save_weights(model.state_dict(), *weight_paths)
    model.double()
    # The parameters need no gradients, so the input is where the graph begins.
    image = prepared(network.picture, network.size) if network.picture else random_images(1, network.size)
    image = image.double().requires_grad_()
    small = draw_small_images(model, network).requires_grad_()
    expected = {**explanation(model, network, image), **module_outputs(model, network, small)}
    safetensors_io.save(expected, expected_path)


def save_weights(state, pth_path, safetensors_path):
    with safetensors_io.replacing(pth_path) as partial:
        torch.save(state, partial)
    safetensors_io.save(state, safetensors_path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--force", action="store_true", help="make the files even if they are there already")
    arguments = parser.parse_args()
    suffixes = [".pth", ".safetensors", ".expected.safetensors"]
    paths = [arguments.out / f"{arguments.name}{suffix}" for suffix in suffixes]
    if not arguments.force and up_to_date(paths, NETWORKS[arguments.name]):
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    make(arguments.name, NETWORKS[arguments.name], paths[:2], paths[2])
    for path in paths:
        print(f"{path} {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)


def up_to_date(paths, network):
    here = Path(__file__).parent
    sources = [here / f"{module}.py" for module in ["networks", "architectures", "fm_g_cam", "safetensors_io"]]
    sources += [path for path in [network.weights, network.picture] if path]
    newest_source = max(source.stat().st_mtime for source in sources)
    return all(path.exists() and path.stat().st_mtime > newest_source for path in paths)


if __name__ == "__main__":
    main()
