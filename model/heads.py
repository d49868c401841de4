"""Heads: from a backbone's features to what a classifier tells classes by, and the classifier.

FCN is that of Long et al. (arXiv:1411.4038), PSPNet of Zhao et al. (arXiv:1612.01105), DeepLabV3 of Chen et al.
(arXiv:1706.05587), with the widths that MMSegmentation gives them on its U-Net: `filters` channels in an FCN head, a
quarter of it in the branches of the others.
"""

from __future__ import annotations

import dataclasses
from typing import List

import tensorflow.compat.v1 as tf

from model.layers import adaptive_average_pool, channel_dropout, conv2d, resize_bilinear
from model.style import Style
from utils.contracts import StepContext, Tensor

DROPOUT_RATE = 0.1
POOL_CELLS = (1, 2, 3, 6)
DILATIONS = (1, 12, 24, 36)


def fcn(features: Tensor, filters: int, context: StepContext, style: Style) -> Tensor:
    """One 3 x 3 convolution."""
    return conv2d(features, filters, 3, context, "conv0", style)


def pspnet(features: Tensor, filters: int, context: StepContext, style: Style) -> Tensor:
    """Means over 1, 2 x 2, 3 x 3 and 6 x 6 parts of the image beside the features, and a 3 x 3 convolution."""
    height, width, _ = style.extents(features)
    branches = [features]
    for cells in POOL_CELLS:
        pooled = adaptive_average_pool(features, cells, style)
        pooled = conv2d(pooled, _branch(filters), 1, context, f"pool{cells}", style)
        branches.append(resize_bilinear(pooled, height, width, style))
    return _merged(branches, filters, context, style)


def deeplabv3(features: Tensor, filters: int, context: StepContext, style: Style) -> Tensor:
    """The image's mean and convolutions of four dilations (the first one 1 x 1), and a 3 x 3 convolution."""
    height, width, _ = style.extents(features)
    pooled = adaptive_average_pool(features, 1, style)
    pooled = conv2d(pooled, _branch(filters), 1, context, "image_pool", style)
    branches = [resize_bilinear(pooled, height, width, style)]
    for dilation in DILATIONS:
        size = 1 if dilation == 1 else 3
        branches.append(conv2d(features, _branch(filters), size, context, f"dilation{dilation}",
                               style.dilated(dilation)))
    return _merged(branches, filters, context, style)


def classify(features: Tensor, classes: int, context: StepContext, name: str, style: Style) -> Tensor:
    """Logits of `classes` channels: whole feature maps are dropped at random while training, then a 1 x 1 convolution.

    `name` tells the dropout of one head from that of another.
    """
    kept = channel_dropout(features, DROPOUT_RATE, context, name, style)
    linear = dataclasses.replace(style.linear, kernel_initialiser="small_normal")
    return conv2d(kept, classes, 1, context, "logits", linear)


def _merged(branches: List[Tensor], filters: int, context: StepContext, style: Style) -> Tensor:
    return conv2d(tf.concat(branches, axis=style.channel_axis), _branch(filters), 3, context, "bottleneck", style)


def _branch(filters: int) -> int:
    return max(1, filters // 4)
