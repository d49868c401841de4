"""The same networks in PyTorch, and what training minimises there. MMSegmentation's own are taken where there are any.

UNet and TinyUNet follow the layers of NVIDIA's UNet_Medical and UNet_Industrial. What TensorFlow calls padding "same"
is at the right and below alone where a kernel is even or a stride 2: they compute with the next symmetric padding and
leave a row and a column of the result out, which spares PyTorch a copy of the padded input.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmark.versus.cases import SUBJECTS

Loss = Callable[[Sequence[torch.Tensor], torch.Tensor], torch.Tensor]
Shapes = Mapping[str, Tuple[int, ...]]

_DICE_EPSILON = 1e-6
_SMOOTHING, _SWITCH = 1.0, 0.3
_AUXILIARY_WEIGHT = 0.4


@dataclasses.dataclass(frozen=True)
class Peer:
    """A network of PyTorch with all that a step needs.

    Attributes:
        module: from images [batch, channels, height, width] to a sequence of logits, of the main head first.
        channels: of the images.
        margin: pixels that each side of an image loses on the way to the logits.
        loss: of logits and labels, int64 [batch, height, width]; a scalar.
        optimiser: makes that of the recipe for some parameters.
        renamed: from arrays by the names of `values` to ours, of which the shapes are given.
    """

    module: nn.Module
    channels: int
    margin: int
    loss: Loss
    optimiser: Callable[[Any], torch.optim.Optimizer]
    renamed: Callable[[Mapping[str, np.ndarray], Shapes], Dict[str, np.ndarray]]

    def values(self) -> Dict[str, np.ndarray]:
        """Weights, and moments of batch normalisation, as arrays of their own memory."""
        return {name: value.detach().numpy().copy() for name, value in self.module.state_dict().items()}

    def gradients(self) -> Dict[str, np.ndarray]:
        """Those of the last loss, in place of the weights of `values`."""
        found = {name: value.grad.numpy().copy() for name, value in self.module.named_parameters()}
        return {**self.values(), **found}

    def without_dropout(self) -> None:
        """Drop nothing from now on, while training neither."""
        for module in self.module.modules():
            if isinstance(module, (nn.Dropout, nn.Dropout2d)):
                module.p = 0.0


def build(network: str, filters: Optional[int] = None) -> Peer:
    """The peer of a network of `SUBJECTS`, `filters` wide (as published by default), with random weights."""
    torch.manual_seed(0)
    if SUBJECTS[network].mmseg:
        return _mmseg(network, filters)
    if network == "tinyunet":
        return Peer(TinyUNet(filters or 32), 1, 0, _adaptive, lambda parameters: torch.optim.RMSprop(
            parameters, 1e-4, alpha=0.9, momentum=0.8, centered=True, weight_decay=1e-5), _renaming("tinyunet"))
    return Peer(UNet(filters or 64), 1, 92, _cross_entropy_and_dice, lambda parameters: torch.optim.Adam(
        parameters, 1e-4, fused=True), _renaming("unet"))


class _Block(nn.Module):
    """Two 3 x 3 convolutions with ReLU, and what enlarges their result where there is something."""

    def __init__(self, channels: Sequence[int], padding: int, up: Optional[nn.Module] = None) -> None:
        super().__init__()
        first, middle, last = channels
        self.a = nn.Conv2d(first, middle, 3, padding=padding)
        self.b = nn.Conv2d(middle, last, 3, padding=padding)
        self.up = up

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = functional.relu(self.a(features), inplace=True)
        return functional.relu(self.b(features), inplace=True)


class _UShape(nn.Module):
    """Blocks down, a bottleneck, blocks up, which read the skips, and logits; the names are those of our variables."""

    def __init__(self, down: List[_Block], bottleneck: _Block, up: List[_Block], logits: nn.Module) -> None:
        super().__init__()
        self.levels = len(down)
        for level, (below, above) in enumerate(zip(down, up)):
            self.add_module(f"down{level}", below)
            self.add_module(f"up{level}", above)
        self.bottleneck, self.logits = bottleneck, logits
        self.dropout: nn.Module = nn.Identity()

    def forward(self, images: torch.Tensor) -> Tuple[torch.Tensor]:
        skips, features = [], images
        for level in range(self.levels):
            skips.append(getattr(self, f"down{level}")(features))
            features = functional.max_pool2d(skips[-1], 2)
        block = self.bottleneck
        features = self.dropout(block(features))
        for level in reversed(range(self.levels)):
            features = torch.cat(_of_one_size(self.enlarged(block, features), skips[level]), dim=1)
            block = getattr(self, f"up{level}")
            features = block(features)
        return (self.logits(features),)

    def enlarged(self, block: _Block, features: torch.Tensor) -> torch.Tensor:
        """Features of twice the height and width."""
        raise NotImplementedError


class UNet(_UShape):
    """That of UNet_Medical: valid convolutions, 3 x 3 transposed ones."""

    def __init__(self, filters: int) -> None:
        widths = [filters * 2 ** level for level in range(5)]
        down = [_Block((above, width, width), 0) for above, width in zip([1, *widths], widths[:4])]
        up = [_Block((2 * width, width, width), 0, _doubling(width) if level else None)
              for level, width in enumerate(widths[:4])]
        bottleneck = _Block((widths[3], widths[4], widths[4]), 0, _doubling(widths[4]))
        super().__init__(down, bottleneck, up, nn.Conv2d(filters, 2, 1))
        self.dropout = nn.Dropout(0.5)

    def enlarged(self, block: _Block, features: torch.Tensor) -> torch.Tensor:
        """See `_UShape.enlarged`."""
        return functional.relu(block.up(features), inplace=True)[:, :, :-1, :-1]


class TinyUNet(_UShape):
    """That of UNet_Industrial: same-padded convolutions, nearest neighbours and 2 x 2 convolutions up."""

    def __init__(self, filters: int) -> None:
        widths = [filters * multiple for multiple in (1, 1, 2, 4, 8)]
        halves = [width // 2 for width in widths]
        down = [_Block((above, width, width), 1) for above, width in zip([1, *widths], widths[:4])]
        up = [_Block((widths[level] + halves[level + 1], widths[level], halves[level] if level else widths[level]), 1,
                     nn.Conv2d(halves[level], halves[level], 2, padding=1) if level else None) for level in range(4)]
        bottleneck = _Block((widths[3], widths[4], widths[4]), 1, nn.Conv2d(widths[4], halves[4], 2, padding=1))
        super().__init__(down, bottleneck, up, nn.Conv2d(filters, 1, 1))

    def enlarged(self, block: _Block, features: torch.Tensor) -> torch.Tensor:
        """See `_UShape.enlarged`."""
        doubled = functional.interpolate(features, scale_factor=2.0, mode="nearest")
        return functional.relu(block.up(doubled), inplace=True)[:, :, 1:, 1:]


def _doubling(width: int) -> nn.Module:
    return nn.ConvTranspose2d(width, width // 2, 3, stride=2)


def _of_one_size(features: torch.Tensor, skip: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Both, of `skip` the centre."""
    height, width = features.shape[2:]
    top, left = (skip.shape[2] - height) // 2, (skip.shape[3] - width) // 2
    return features, skip[:, :, top:top + height, left:left + width]


class _Segmentor(nn.Module):
    """A model of MMSegmentation without what reads and writes its data."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        features = self.model.extract_feat(images)
        heads = [self.model.decode_head] + ([self.model.auxiliary_head] if self.training else [])
        return tuple(head(features) for head in heads)


def _mmseg(head: str, filters: Optional[int]) -> Peer:
    from test.parity.compiled import stub_compiled_operations

    # MMSegmentation imports them, and no U-Net calls them.
    stub_compiled_operations()
    from runtime.checkpoints.foreign.mmseg import from_mmseg
    from test.parity import reference

    def renamed(values: Mapping[str, np.ndarray], wanted: Shapes) -> Dict[str, np.ndarray]:
        return from_mmseg({name[len("model."):]: value for name, value in values.items()}, wanted)

    module = _Segmentor(reference.build(head, filters or reference.PUBLISHED_WIDTH))
    return Peer(module, 3, 0, _cross_entropy_of_heads, lambda parameters: torch.optim.SGD(
        parameters, 0.01, momentum=0.9, weight_decay=5e-4, fused=True), renamed)


def _renaming(scope: str) -> Callable[[Mapping[str, np.ndarray], Shapes], Dict[str, np.ndarray]]:
    def renamed(values: Mapping[str, np.ndarray], wanted: Shapes) -> Dict[str, np.ndarray]:
        found = {}
        for name, value in values.items():
            layer, _, leaf = name.rpartition(".")
            ours = f"{scope}/{layer.replace('.', '/')}/{'kernel' if leaf == 'weight' else 'bias'}"
            found[ours] = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
        return found

    return renamed


def _cross_entropy_and_dice(heads: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    logits = heads[0].float()
    found = functional.softmax(logits, dim=1)
    truth = functional.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2).to(found.dtype)
    overlap, total = (found * truth).sum((2, 3)), (found.square() + truth.square()).sum((2, 3))
    dice = (2.0 * overlap + _DICE_EPSILON) / (total + _DICE_EPSILON)
    return functional.cross_entropy(logits, labels) + (1.0 - dice).mean()


def _adaptive(heads: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    logits = heads[0][:, 0].float()
    truth, found = labels.to(logits.dtype), torch.sigmoid(logits)
    dice = 1.0 - (2.0 * (found * truth).sum() + _SMOOTHING) / (found.sum() + truth.sum() + _SMOOTHING)
    return torch.where(dice < _SWITCH, dice, functional.binary_cross_entropy_with_logits(logits, truth))


def _cross_entropy_of_heads(heads: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    size = tuple(labels.shape[1:])
    losses = [functional.cross_entropy(functional.interpolate(head.float(), size, mode="bilinear"), labels)
              for head in heads]
    return losses[0] + _AUXILIARY_WEIGHT * losses[1]
