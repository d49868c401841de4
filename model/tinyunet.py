"""TinyUNet, and the larger network that it was made from, as NVIDIA's UNet_Industrial builds them.

Same-padded convolutions throughout, so that logits have the size of the image; no dropout, no normalisation. The way
up is nearest-neighbour upsampling and a 2x2 convolution. For one channel in and out TinyUNet has 1,850,305
parameters, the original 29,137,793.
"""

from __future__ import annotations

from typing import List, Sequence, Tuple

from model.base import Network
from model.layers import conv2d, crop_and_concat, max_pool, two_convolutions, upsample
from model.style import Style
from utils.contracts import Geometry, StepContext, Tensor


class TinyUNet(Network):
    """Four poolings, a bottleneck, four levels up.

    Input sizes are 16, 32, ... (in steps of 16).

    Attributes:
        multiples: channels of the five levels, the bottleneck last, in units of the first level's.
    """

    geometry = Geometry(divisor=16, remainder=0, minimum=16, margin=0)
    scope = "tinyunet"
    published_filters = 32
    published_style = Style(padding="SAME", kernel_initialiser="he_uniform")
    multiples: Tuple[int, ...] = (1, 1, 2, 4, 8)

    def _heads(self, images: Tensor, context: StepContext) -> Sequence[Tensor]:
        *widths, deepest = (self.filters * multiple for multiple in self.multiples)
        skips, features = self._contract(images, widths, context)
        features = two_convolutions(features, (deepest, deepest), context, "bottleneck", self.style)
        features = self._up(features, deepest, context, "bottleneck/up")
        for level in reversed(range(1, len(widths))):
            features = self._expand(features, skips[level], widths[level], context, f"up{level}")
        merged = crop_and_concat(features, skips[0], self.style)
        features = two_convolutions(merged, (widths[0], widths[0]), context, "up0", self.style)
        return [conv2d(features, self.outputs, 1, context, "logits", self.style.linear)]

    def _contract(self, images: Tensor, widths: List[int], context: StepContext) -> Tuple[List[Tensor], Tensor]:
        skips, features = [], images
        for level, width in enumerate(widths):
            skip = two_convolutions(features, (width, width), context, f"down{level}", self.style)
            skips.append(skip)
            features = max_pool(skip, self.style)
        return skips, features

    def _expand(self, features: Tensor, skip: Tensor, width: int, context: StepContext, name: str) -> Tensor:
        """The second convolution already halves the channels, and the upsampling keeps them."""
        merged = crop_and_concat(features, skip, self.style)
        features = two_convolutions(merged, (width, _half(width)), context, name, self.style)
        return self._up(features, width, context, f"{name}/up")

    def _up(self, features: Tensor, width: int, context: StepContext, name: str) -> Tensor:
        return conv2d(upsample(features, self.style), _half(width), 2, context, name, self.style)


class TinyUNetOriginal(TinyUNet):
    """The larger network: every level doubles the channels of the one above."""

    published_filters = 64
    multiples = (1, 2, 4, 8, 16)


def _half(width: int) -> int:
    """Rounded up, so that the narrowest network has a channel left."""
    return (width + 1) // 2
