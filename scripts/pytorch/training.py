"""Makes test/expected/training.safetensors: one training step of the small residual network of propagation.py, with every
gradient, and ten steps of each optimiser, in float64.
"""

from pathlib import Path

import torch
import torch.nn.functional as F

import safetensors_io
from propagation import EXPECTED as PROPAGATION
from propagation import Gradient, Residual

EXPECTED = Path(__file__).resolve().parents[2] / "test" / "expected" / "training.safetensors"
IMAGES, SIZE, CLASSES, STEPS = 4, (20, 16), 5, 10
KINK_MARGIN = 1e-4

OPTIMISERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.05),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda parameters: torch.optim.SGD(
        parameters, lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True
    ),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
}


def build():
    """The network with the weights of propagation.safetensors, in training mode."""
    prefix = "residual/state/"
    values = safetensors_io.load(PROPAGATION)
    network = Residual()
    state = {key[len(prefix) :]: value for key, value in values.items() if key.startswith(prefix)}
    network.load_state_dict(state, strict=False)
    return network.train().double()


def state_of(network):
    return {key: value for key, value in network.state_dict().items() if "num_batches" not in key}


def loss_of(network, images, targets, layers):
    return F.cross_entropy(network(images, layers), targets)


def draw_batch():
    """Images that no ReLU is in doubt about, and targets that share their mass between the classes."""
    while True:
        images = torch.randn(IMAGES, 3, *SIZE).double()
        targets = torch.rand(IMAGES, CLASSES).double()
        targets /= targets.sum(1, keepdim=True)
        # What the tests read is float32.
        images, targets = images.float().double(), targets.float().double()
        layers = Gradient()
        loss_of(build(), images, targets, layers)
        if layers.margin > KINK_MARGIN:
            return images, targets


def main():
    torch.manual_seed(1)
    images, targets = draw_batch()
    values = {"images": images, "targets": targets}

    network = build()
    loss = loss_of(network, images, targets, Gradient())
    loss.backward()
    values["step/loss"] = loss
    values.update({f"step/gradient/{key}": parameter.grad for key, parameter in network.named_parameters()})
    values.update({f"step/state/{key}": value for key, value in state_of(network).items() if "running" in key})

    for name, make in OPTIMISERS.items():
        network = build()
        optimiser = make(network.parameters())
        losses = []
        for _ in range(STEPS):
            optimiser.zero_grad()
            loss = loss_of(network, images, targets, Gradient())
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
        values[f"{name}/losses"] = torch.stack(losses)
        values.update({f"{name}/state/{key}": value for key, value in state_of(network).items()})
    safetensors_io.save(values, EXPECTED)


if __name__ == "__main__":
    main()
