"""Networks that give a score map for each body part at a stride of 8 pixels. Definitions only; trains nothing.

`small` is a residual network for little data and CPUs. `resnet18` and `resnet50` are those of He et al. 2016 as
DeepLabCut uses them (Insafutdinov et al. 2016, Mathis et al. 2018): the last stage dilated instead of strided, which
leaves a stride of 16, and a transposed convolution to 8. Their parameters are named as torchvision names them, so that
weights in its format fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

BACKBONES = ("small", "resnet18", "resnet50")
_GROUPS = 8
_START_LOGIT = -4.0
"""Of every cell: hardly any cell holds a part."""
_DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}


def norm(channels: int, *, frozen: bool) -> nn.Module:
    """Batch statistics of the published weights where those are used, else groups: batches are small."""
    return nn.BatchNorm2d(channels) if frozen else nn.GroupNorm(min(_GROUPS, channels), channels)


def conv(before: int, after: int, size: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size, but for its stride."""
    padding = dilation * (size // 2)
    return nn.Conv2d(before, after, size, stride=stride, padding=padding, dilation=dilation, bias=False)


class Basic(nn.Module):
    """Two convolutions of 3 x 3 and a way around them."""

    expansion = 1

    def __init__(self, before: int, width: int, *, stride: int, dilation: int, frozen: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(before, width, 3, stride=stride, dilation=dilation), norm(width, frozen=frozen)
        self.conv2, self.bn2 = conv(width, width, 3, dilation=dilation), norm(width, frozen=frozen)
        self.downsample = _way_around(before, width, stride, frozen=frozen)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class Bottleneck(nn.Module):
    """Convolutions of 1 x 1, 3 x 3, 1 x 1 and a way around them."""

    expansion = 4

    def __init__(self, before: int, width: int, *, stride: int, dilation: int, frozen: bool) -> None:
        super().__init__()
        after = width * self.expansion
        self.conv1, self.bn1 = conv(before, width, 1), norm(width, frozen=frozen)
        self.conv2 = conv(width, width, 3, stride=stride, dilation=dilation)
        self.bn2 = norm(width, frozen=frozen)
        self.conv3, self.bn3 = conv(width, after, 1), norm(after, frozen=frozen)
        self.downsample = _way_around(before, after, stride, frozen=frozen)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def _way_around(before: int, after: int, stride: int, *, frozen: bool) -> nn.Module:
    if before == after and stride == 1:
        return nn.Identity()
    return nn.Sequential(conv(before, after, 1, stride=stride), norm(after, frozen=frozen))


def _stage(
    kind: type[Basic] | type[Bottleneck],
    before: int,
    width: int,
    *,
    depth: int,
    stride: int,
    dilation: int,
    frozen: bool,
) -> nn.Sequential:
    blocks = [kind(before, width, stride=stride, dilation=dilation, frozen=frozen)]
    after = width * kind.expansion
    blocks += [kind(after, width, stride=1, dilation=dilation, frozen=frozen) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


class Small(nn.Module):
    """A residual network of 0.5 million weights: stages at strides 2, 4 and 8, the last seeing about 140 pixels."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 16, 5, stride=2), norm(16, frozen=False), nn.ReLU())
        widths = ((16, 32, 2, 1), (32, 64, 2, 1), (64, 64, 1, 2), (64, 64, 1, 3))
        self.stages = nn.Sequential(
            *(Basic(a, b, stride=stride, dilation=dilation, frozen=False) for a, b, stride, dilation in widths)
        )
        self.head = nn.Conv2d(64, parts, 1)
        nn.init.constant_(self.head.bias, _START_LOGIT)

    def forward(self, x: Tensor) -> Tensor:
        """Images (images, 3, rows, columns) -> logits (images, parts, rows / 8, columns / 8)."""
        return self.head(self.stages(self.stem(x)))


class ResNet(nn.Module):
    """ResNet 18 or 50 with DeepLabCut's head. `frozen`: with published weights' batch statistics, never changed."""

    def __init__(self, name: str, parts: int, *, frozen: bool) -> None:
        super().__init__()
        kind = Basic if name == "resnet18" else Bottleneck
        depths, widths = _DEPTHS[name], (64, 128, 256, 512)
        self.frozen = frozen
        self.conv1, self.bn1 = conv(3, 64, 7, stride=2), norm(64, frozen=frozen)
        before = 64
        for number, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
            stride, dilation = (1 if number in (1, 4) else 2), (2 if number == 4 else 1)
            stage = _stage(kind, before, width, depth=depth, stride=stride, dilation=dilation, frozen=frozen)
            setattr(self, f"layer{number}", stage)
            before = width * kind.expansion
        self.head = nn.ConvTranspose2d(before, parts, 3, stride=2, padding=1, output_padding=1)
        nn.init.constant_(self.head.bias, _START_LOGIT)

    def forward(self, x: Tensor) -> Tensor:
        """Images (images, 3, rows, columns) -> logits (images, parts, rows / 8, columns / 8), sides rounded up."""
        y = torch.relu(self.bn1(self.conv1(x)))
        y = nn.functional.max_pool2d(y, 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            y = stage(y)
        return self.head(y)[..., : x.shape[2] // 8, : x.shape[3] // 8]

    def train(self, mode: bool = True) -> ResNet:
        """Batch statistics stay as they are: batches are too small to measure them."""
        super().train(mode)
        if self.frozen:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


def build_network(backbone: str, parts: int, weights: Mapping[str, Any] | None) -> nn.Module:
    """A network with random weights, or those given: of this analysis's checkpoint, or a backbone's.

    Raises ValueError: the weights do not fit.
    """
    state = None if weights is None else {str(name).removeprefix("module."): value for name, value in weights.items()}
    frozen = state is not None and "bn1.running_mean" in state
    network = Small(parts) if backbone == "small" else ResNet(backbone, parts, frozen=frozen)
    if state is None:
        return network
    own = network.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    lacking = [name for name in own if name not in fitting and not name.startswith("head.")]
    if lacking:
        raise ValueError(f"they lack '{lacking[0]}' in the shape {tuple(own[lacking[0]].shape)} that {backbone} has")
    network.load_state_dict({**own, **fitting})
    return network
