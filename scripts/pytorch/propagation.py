"""Makes test/expected/propagation.safetensors: what is handed back to the image in two small networks, in float64.

Both networks are written once, over a set of layers: PyTorch's own for the gradient, and others that hand something else
back. Layer-wise relevance propagation is computed as its papers write it, with relevance instead of gradients.
"""

from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from torchvision.models.densenet import DenseNet

import safetensors_io

EXPECTED = Path(__file__).resolve().parents[2] / "test" / "expected" / "propagation.safetensors"
CLASSES = [[1, 4, 0], [3, 2, 4]]  # for each image
SIZE = (20, 16)
EPSILON = 0.05
STEPS = 6
KINK_MARGIN = 1e-5  # no ReLU input may lie so near zero that float32 rounding decides its gradient

# --- layers ----------------------------------------------------------------------------------------------------------


def scale_of(norm):
    return (norm.weight / torch.sqrt(norm.running_var + norm.eps)).view(-1, 1, 1)


def shift_of(norm):
    return norm.bias.view(-1, 1, 1) - norm.running_mean.view(-1, 1, 1) * scale_of(norm)


def convolve(x, conv):
    return F.conv2d(x, conv.weight, None, conv.stride, conv.padding)


class Gradient:
    """The layers as PyTorch has them."""

    def __init__(self):
        self.margin = float("inf")

    def conv(self, x, conv, norm=None, shortcut=None):
        y = conv(x) if norm is None else norm(conv(x))
        return y if shortcut is None else y + shortcut

    def norm(self, x, norm):
        return norm(x)

    def relu(self, x):
        self.margin = min(self.margin, x.abs().min().item())
        return F.relu(x)

    def add(self, a, b):
        return a + b

    def average(self, x, pool):
        return pool(x)

    def linear(self, x, linear):
        return linear(x)


class Guided(Gradient):
    """Springenberg et al. 2015."""

    def relu(self, x):
        return Back.apply(lambda back, x: [back.clamp(min=0) * (x > 0)], F.relu(x), x)


class Back(torch.autograd.Function):
    """y, with `rule(what comes back to y, *inputs)` as what goes back to each input."""

    @staticmethod
    def forward(context, rule, y, *inputs):
        context.rule = rule
        context.save_for_backward(*inputs)
        return y.clone()

    @staticmethod
    def backward(context, back):
        return None, None, *context.rule(back, *context.saved_tensors)


def divide(a, b):
    """a / b, and 0 where both are 0."""
    return torch.where(b == 0, torch.zeros_like(b), a / b)


def shares(relevance, total, f, parts):
    """part * (d f / d part)^T (relevance / total) for each part, f being linear in all of them."""
    with torch.enable_grad():
        parts = [part.detach().requires_grad_() for part in parts]
        gradients = torch.autograd.grad(f(*parts), parts, divide(relevance, total))
    return [part.detach() * gradient for part, gradient in zip(parts, gradients)]


class Relevance(Gradient):
    """What comes back is relevance: a ReLU hands it on as it is."""

    def relu(self, x):
        return Back.apply(lambda relevance, _: [relevance], F.relu(x), x)


class EpsilonRule(Relevance):
    """Bach et al. 2015, equation 58, for layers with weights; what has none shares in proportion."""

    def layer(self, f, bias, *inputs, epsilon=EPSILON):
        y = f(*inputs) + bias

        def rule(relevance, *inputs):
            return shares(relevance, y.detach() + epsilon * torch.sign(y.detach()), f, inputs)

        return Back.apply(rule, y, *inputs)

    def conv(self, x, conv, norm=None, shortcut=None):
        bias = 0 if conv.bias is None else conv.bias.view(-1, 1, 1)
        scale = 1 if norm is None else scale_of(norm)
        bias = bias if norm is None else scale * bias + shift_of(norm)
        if shortcut is None:
            return self.layer(lambda x: scale * convolve(x, conv), bias, x)
        return self.layer(lambda x, shortcut: scale * convolve(x, conv) + shortcut, bias, x, shortcut)

    def norm(self, x, norm):
        return self.layer(lambda x: scale_of(norm) * x, shift_of(norm), x)

    def add(self, a, b):
        return self.layer(lambda a, b: a + b, 0, a, b, epsilon=0)

    def average(self, x, pool):
        return self.layer(pool, 0, x, epsilon=0)

    def linear(self, x, linear):
        product = self.layer(lambda x: F.linear(x, linear.weight), 0, x)
        return self.layer(lambda z: z, linear.bias, product, epsilon=0)


class ZPlusRule(Relevance):
    """Montavon et al. 2017, equation 15, for inputs of either sign: only positive contributions count, and no bias."""

    def layer(self, y, positive, *inputs):
        """`positive(x, w)` of the positive parts plus the same of the negative parts is what counts of each input."""

        def rule(relevance, *inputs):
            def total(*parts):
                plus, minus = parts[: len(inputs)], parts[len(inputs) :]
                return positive(plus, lambda w: w.clamp(min=0)) + positive(minus, lambda w: (-w).clamp(min=0))

            parts = [x.clamp(min=0) for x in inputs] + [(-x).clamp(min=0) for x in inputs]
            shared = shares(relevance, total(*parts), total, parts)
            return [a + b for a, b in zip(shared[: len(inputs)], shared[len(inputs) :])]

        return Back.apply(rule, y, *inputs)

    def conv(self, x, conv, norm=None, shortcut=None):
        scale = 1 if norm is None else scale_of(norm).view(-1, 1, 1, 1)

        def positive(inputs, part):
            y = F.conv2d(inputs[0], part(scale * conv.weight), None, conv.stride, conv.padding)
            return y + inputs[1] * part(torch.ones(())) if len(inputs) > 1 else y

        inputs = [x] if shortcut is None else [x, shortcut]
        return self.layer(Gradient.conv(self, x, conv, norm, shortcut), positive, *inputs)

    def norm(self, x, norm):
        return Back.apply(lambda relevance, _: [relevance], norm(x), x)

    def add(self, a, b):
        return self.layer(a + b, lambda inputs, part: (inputs[0] + inputs[1]) * part(torch.ones(())), a, b)

    def average(self, x, pool):
        return self.layer(pool(x), lambda inputs, part: pool(inputs[0]) * part(torch.ones(())), x)

    def linear(self, x, linear):
        return self.layer(linear(x), lambda inputs, part: F.linear(inputs[0], part(linear.weight)), x)


# --- networks --------------------------------------------------------------------------------------------------------


class Residual(nn.Module):
    """A block with a projection, and a pre-activation block, whose sum stands alone."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv3, self.bn3 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.downsample = nn.Sequential(nn.Conv2d(6, 8, 1, stride=2, bias=False), nn.BatchNorm2d(8))
        self.bn4, self.conv4 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1)
        self.bn5 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x, layers):
        x = F.max_pool2d(layers.relu(layers.conv(x, self.conv1, self.bn1)), 3, 2, 1)
        a = layers.relu(layers.conv(x, self.conv2, self.bn2))
        x = layers.relu(layers.conv(a, self.conv3, self.bn3, layers.conv(x, *self.downsample)))
        a = layers.relu(layers.norm(x, self.bn4))
        x = layers.relu(layers.add(layers.conv(a, self.conv4), x))
        x = layers.relu(layers.norm(x, self.bn5))
        return layers.linear(layers.average(x, lambda x: x.mean((2, 3))), self.fc)


class Dense(DenseNet):
    """torchvision's, with two blocks of two layers."""

    def __init__(self):
        super().__init__(growth_rate=4, block_config=(2, 2), num_init_features=6, num_classes=5)

    def forward(self, x, layers):
        f = self.features
        x = F.max_pool2d(layers.relu(layers.conv(x, f.conv0, f.norm0)), 3, 2, 1)
        x = self.block(x, f.denseblock1, layers)
        x = layers.conv(layers.relu(layers.norm(x, f.transition1.norm)), f.transition1.conv)
        x = layers.average(x, lambda x: F.avg_pool2d(x, 2))
        x = layers.relu(layers.norm(self.block(x, f.denseblock2, layers), f.norm5))
        return layers.linear(layers.average(x, lambda x: x.mean((2, 3))), self.classifier)

    @staticmethod
    def block(x, block, layers):
        for layer in block.values():
            a = layers.relu(layers.norm(x, layer.norm1))
            a = layers.relu(layers.conv(a, layer.conv1, layer.norm2))
            x = torch.cat([x, layers.conv(a, layer.conv2)], 1)
        return x


@torch.no_grad()
def randomise(network):
    """Parameters and statistics that float32 holds exactly, and that keep activations near unit scale."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.6, 1.4)
            module.running_var.uniform_(0.6, 1.4)
            module.bias.normal_(0, 0.3)
            module.running_mean.normal_(0, 0.3)
    return network.eval().requires_grad_(False).double()


# --- what comes back -------------------------------------------------------------------------------------------------


def back(network, layers, images, of_logit=lambda logit: torch.ones_like(logit)):
    """What comes back to each image from each of its classes, beginning with `of_logit(logit)`: [N,K,3,H,W]."""
    images = images.clone().requires_grad_()
    logits = network(images, layers)
    return torch.stack([
        torch.stack([
            torch.autograd.grad(logits[n, k], images, of_logit(logits[n, k].detach()), retain_graph=True)[0][n]
            for k in classes
        ])
        for n, classes in enumerate(CLASSES)
    ])


def way(baseline, images):
    """The points of the midpoint rule."""
    return [baseline + (step + 0.5) / STEPS * (images - baseline) for step in range(STEPS)]


def draw_images(network, baseline):
    """Images that no ReLU is in doubt about, nor about the points on the way to them."""
    while True:
        images = torch.randn(2, 3, *SIZE).double()
        layers = Gradient()
        for point in [images, *way(baseline, images)]:
            network(point, layers)
        if layers.margin > KINK_MARGIN:
            return images


def expected(network):
    baseline = torch.tensor([-0.5, 0.25, 0.125]).double().view(3, 1, 1)
    images = draw_images(network, baseline)
    layers = Gradient()
    logits = network(images, layers)
    for other in [Guided(), EpsilonRule(), ZPlusRule()]:
        torch.testing.assert_close(network(images, other), logits)

    gradients = back(network, layers, images)
    integral = sum(back(network, layers, point) for point in way(baseline, images)) / STEPS
    return {
        "input": images,
        "baseline": baseline,
        "logits": logits,
        "gradient": gradients.abs().amax(2),
        "inputXGradient": (gradients * images.unsqueeze(1)).sum(2),
        "guidedBackprop": back(network, Guided(), images).sum(2),
        "integratedGradients": (integral * (images - baseline).unsqueeze(1)).sum(2),
        "lrpEpsilon": back(network, EpsilonRule(), images, of_logit=torch.clone).sum(2),
        "lrpZPlus": back(network, ZPlusRule(), images, of_logit=torch.clone).sum(2),
    }


def main():
    values = {}
    for name, build, seed in [("residual", Residual, 1), ("dense", Dense, 2)]:
        torch.manual_seed(seed)
        network = randomise(build())
        state = {key: value for key, value in network.state_dict().items() if "num_batches" not in key}
        values.update({f"{name}/state/{key}": value for key, value in state.items()})
        values.update({f"{name}/{key}": value for key, value in expected(network).items()})
        if name == "dense":
            torch.testing.assert_close(DenseNet.forward(network, values["dense/input"]), values["dense/logits"])
    safetensors_io.save(values, EXPECTED)


if __name__ == "__main__":
    main()
