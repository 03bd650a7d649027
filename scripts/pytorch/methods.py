"""Makes test/expected/methods.safetensors: maps of random activations, as the papers define them, in float64.

They are those in which pytorch-grad-cam departs from the papers: Grad-CAM++ without a number added to its denominator,
Eigen-CAM without centring, and components with a sign that is defined. Gradients are those of scores that are linear in the
activations, so that second and third derivatives of their exponentials can be taken as Grad-CAM++ defines them.
"""

from pathlib import Path

import torch

import safetensors_io

EXPECTED = Path(__file__).resolve().parents[2] / "test" / "expected" / "methods.safetensors"
IMAGES, CLASSES, CHANNELS, ROWS, COLUMNS = 2, 3, 7, 5, 4


def derivative(y, a):
    """Element by element: d y[i] / d a[i] where y[i] depends on a[i] alone."""
    return torch.autograd.grad(y.sum(), a, create_graph=True)[0]


def grad_cam_plus_plus(activations, gradients):
    """Equations 5, 10 and the map, for Y = exp(S) with S = sum of gradient times activation; weights are divided by Y."""
    score = (gradients * activations).sum()
    # Each element moves by itself: S + g (a' - a), whose derivatives by a' are those of Y by that element alone.
    moved = activations.clone().requires_grad_()
    y = torch.exp(score + gradients * (moved - activations))
    first = derivative(y, moved)
    second = derivative(first, moved)
    third = derivative(second, moved)
    alpha = second / (2 * second + activations.sum((1, 2), keepdim=True) * third)
    weights = (alpha * torch.relu(first)).sum((1, 2)) / torch.exp(score)
    return (weights.view(-1, 1, 1) * activations).sum(0).detach()


def component(x, centre):
    """The projection of the pixels on the first right singular vector; high where the sum over channels is."""
    pixels = x.flatten(1).T
    matrix = pixels - pixels.mean(0) if centre else pixels
    projection = matrix @ torch.linalg.svd(matrix, full_matrices=False)[2][0]
    return (projection * torch.sign((projection * pixels.sum(1)).sum())).view(x.shape[1:])


def each(function, activations, gradients):
    return torch.stack([torch.stack([function(a, g) for g in of_image]) for a, of_image in zip(activations, gradients)])


def main():
    torch.manual_seed(17)
    activations = torch.relu(torch.randn(IMAGES, CHANNELS, ROWS, COLUMNS))
    activations[0, 2] = 0  # a silent channel
    gradients = 0.3 * torch.randn(IMAGES, CLASSES, CHANNELS, ROWS, COLUMNS)
    a, g = activations.double(), gradients.double()
    # No denominator 2 + A g is near zero, where the weights of Grad-CAM++ have a pole.
    g = torch.where((2 + a.sum((2, 3))[:, None, :, None, None] * g).abs() < 0.2, -g, g)
    maps = {
        "activations": a,
        "gradients": g,
        "grad-cam++": each(grad_cam_plus_plus, a, g),
        "eigen-cam/centred": torch.stack([component(x, True) for x in a]),
        "eigen-cam/uncentred": torch.stack([component(x, False) for x in a]),
        "eigen-grad-cam": each(lambda a, g: component(a * g, True), a, g),
    }
    safetensors_io.save(maps, EXPECTED)


if __name__ == "__main__":
    main()
