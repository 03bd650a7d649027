"""The networks torchvision does not have: pre-activation ResNets, the ResNets of CIFAR-10, and that of the scenes."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torchvision.models.resnet import BasicBlock, ResNet


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions, each after its batch norm and ReLU; nothing follows the sum."""

    expansion = 1

    def __init__(self, in_channels, width, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.relu = nn.ReLU()
        self.downsample = projection(in_channels, width * self.expansion, stride)

    def forward(self, x):
        p = self.relu(self.bn1(x))
        out = self.conv1(p)
        out = self.conv2(self.relu(self.bn2(out)))
        return out + (x if self.downsample is None else self.downsample(p))


class PreActivationBottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolutions, each after its batch norm and ReLU; nothing follows the sum."""

    expansion = 4

    def __init__(self, in_channels, width, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.relu = nn.ReLU()
        self.downsample = projection(in_channels, width * self.expansion, stride)

    def forward(self, x):
        p = self.relu(self.bn1(x))
        out = self.conv1(p)
        out = self.conv2(self.relu(self.bn2(out)))
        out = self.conv3(self.relu(self.bn3(out)))
        return out + (x if self.downsample is None else self.downsample(p))


def projection(in_channels, out_channels, stride):
    """The shortcut where the shape changes; None where the identity will do."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False))


class PreActivationResNet(nn.Module):
    """ResNet v2 (He et al. 2016, 'Identity mappings in deep residual networks'), named as torchvision would name it."""

    def __init__(self, block, depths, classes=1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        channels = 64
        for stage, depth in enumerate(depths):
            width = 64 * 2**stage
            blocks = []
            for index in range(depth):
                blocks.append(block(channels, width, 2 if stage > 0 and index == 0 else 1))
                channels = width * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.maxpool(self.conv1(x))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.avgpool(self.relu(self.bn(x)))
        return self.fc(torch.flatten(x, 1))


class OptionAShortcut(nn.Module):
    """Shortcut without parameters: every second pixel, and zeros for the channels that are new, half on each side."""

    def __init__(self, new_channels):
        super().__init__()
        self.each_side = new_channels // 2

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.each_side, self.each_side))


class CifarBlock(nn.Module):
    def __init__(self, in_channels, channels):
        super().__init__()
        stride = 1 if in_channels == channels else 2
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential() if stride == 1 else OptionAShortcut(channels - in_channels)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class CifarResNet(nn.Module):
    """The CIFAR-10 ResNet of He et al. 2015, section 4.2, with 6n + 2 layers; names as in the usual checkpoints."""

    def __init__(self, blocks_per_stage, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for stage, (before, channels) in enumerate([(16, 16), (16, 32), (32, 64)]):
            inputs = [before] + [channels] * (blocks_per_stage - 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*(CifarBlock(width, channels) for width in inputs)))
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class ScenesResNet(ResNet):
    """torchvision's ResNet with a smaller stem, half the widths, and a last stage that keeps the resolution."""

    def __init__(self, classes=24):
        super().__init__(BasicBlock, [2, 2, 2, 1], num_classes=classes)
        self.inplanes = 32
        self.conv1 = nn.Conv2d(3, 32, 5, stride=2, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layer1 = self._make_layer(BasicBlock, 32, 2)
        self.layer2 = self._make_layer(BasicBlock, 64, 2, stride=2)
        self.layer3 = self._make_layer(BasicBlock, 128, 2, stride=2)
        self.layer4 = self._make_layer(BasicBlock, 256, 1)
        self.fc = nn.Linear(256, classes)
