"""UNet as NVIDIA's UNet_Medical builds it, after Ronneberger et al. (arXiv:1505.04597).

Valid 3x3 convolutions throughout; unlike the paper the transposed convolutions are 3x3 with ReLU.
572 x 572 pixels go in, 388 x 388 come out; 34,512,258 parameters for one channel and two classes.
"""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from model.base import Network
from model.layers import conv2d, conv2d_transpose, crop_and_concat, dropout, max_pool, two_convolutions
from model.options import ModelOptions
from model.style import Style
from utils.contracts import DataSpec, Geometry, StepContext, Tensor

PUBLISHED_DEPTH = 4
DROPOUT_RATE = 0.5


def sizes(depth: int) -> Geometry:
    """The sizes of a UNet of so many levels above its bottleneck; the smallest output is 4 x 4.

    Two convolutions take 4 pixels of their own level, which at level i are 4 x 2^i of the image.
    """
    step = 2 ** depth
    return Geometry(divisor=step, remainder=-4 % step, minimum=12 * step - 4, margin=6 * step - 4, usual=572)


class UNet(Network):
    """The published UNet: four levels down, a bottleneck with dropout, four levels up.

    Input sizes are 188, 204, ... (in steps of 16); the output is 184 pixels smaller. Of another `depth` these differ.
    """

    geometry = sizes(PUBLISHED_DEPTH)
    takes = ("depth",)
    scope = "unet"
    published_filters = 64
    published_style = Style(padding="VALID", kernel_initialiser="glorot_uniform")

    def __init__(self, options: ModelOptions, spec: DataSpec, outputs: Optional[int] = None) -> None:
        super().__init__(options, spec, outputs)
        self.depth = options.depth or PUBLISHED_DEPTH
        self.geometry = sizes(self.depth)

    def _heads(self, images: Tensor, context: StepContext) -> Sequence[Tensor]:
        skips, features = self._contract(images, context)
        features = self._bottleneck(features, context)
        for level in reversed(range(self.depth)):
            features = self._expand(features, skips[level], level, context)
        return [conv2d(features, self.outputs, 1, context, "logits", self.style.linear)]

    def _contract(self, images: Tensor, context: StepContext) -> Tuple[List[Tensor], Tensor]:
        skips, features = [], images
        for level in range(self.depth):
            skip = self._two_convolutions(features, level, context, f"down{level}")
            skips.append(skip)
            features = max_pool(skip, self.style)
        return skips, features

    def _bottleneck(self, features: Tensor, context: StepContext) -> Tensor:
        features = self._two_convolutions(features, self.depth, context, "bottleneck")
        features = dropout(features, DROPOUT_RATE, context, "bottleneck", self.style)
        return self._up(features, self.depth, context, "bottleneck/up")

    def _expand(self, features: Tensor, skip: Tensor, level: int, context: StepContext) -> Tensor:
        merged = crop_and_concat(features, skip, self.style)
        features = self._two_convolutions(merged, level, context, f"up{level}")
        return features if level == 0 else self._up(features, level, context, f"up{level}/up")

    def _two_convolutions(self, features: Tensor, level: int, context: StepContext, name: str) -> Tensor:
        width = self._width(level)
        return two_convolutions(features, (width, width), context, name, self.style)

    def _up(self, features: Tensor, level: int, context: StepContext, name: str) -> Tensor:
        return conv2d_transpose(features, self._width(level - 1), 3, context, name, self.style)

    def _width(self, level: int) -> int:
        return self.filters * 2 ** level
