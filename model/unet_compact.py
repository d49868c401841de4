"""A small U-Net with batch normalisation, made to be trained on a processor.

The plain U-Net of `plain_unet` at half its width, normalised in place of dropout: five levels of 16, 32, 64, 128 and
256 channels, two 3 x 3 convolutions a level, a 2 x 2 transposed convolution between two levels. The convolutions start
as He et al. (arXiv:1502.01852) have it for ReLU, those between the levels, which have no activation, as Glorot and
Bengio. For one channel and one output there are 1,942,289 trainable parameters.
"""

from __future__ import annotations

from typing import Tuple

from model.plain_unet import PlainUNet
from model.style import Style


class UNetCompact(PlainUNet):
    """As `PlainUNet`, with another width and always normalised; a normalised convolution has no bias."""

    scope = "unet_compact"
    published_filters = 16
    takes: Tuple[str, ...] = ("depth",)
    published_style = Style(padding="SAME", kernel_initialiser="he_normal", normalisation="batch")
