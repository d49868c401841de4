"""UNet as NVIDIA's UNet_Medical builds it, after Ronneberger et al. (arXiv:1505.04597).

Valid 3x3 convolutions throughout; unlike the paper the transposed convolutions are 3x3 with ReLU.
572 x 572 pixels go in, 388 x 388 come out; 34,512,258 parameters for one channel and two classes.
"""

from __future__ import annotations

from typing import List, Tuple

import tensorflow.compat.v1 as tf

from model.base import Network
from model.layers import conv2d, conv2d_transpose, crop_and_concat, dropout, max_pool
from utils.contracts import Geometry, Outputs, StepContext, Tensor

LEVELS = 4
DROPOUT_RATE = 0.5


class UNet(Network):
    """The published UNet: four levels down, a bottleneck with dropout, four levels up.

    Input sizes are 188, 204, ... (in steps of 16); the output is 184 pixels smaller.
    """

    geometry = Geometry(divisor=16, remainder=12, minimum=188, margin=92)

    def __call__(self, images: Tensor, context: StepContext) -> Outputs:
        """See `Network.__call__`."""
        for extent in images.shape[1:3]:
            self.geometry.output_size(int(extent))
        filters = self.options.filters
        with tf.variable_scope("unet"):
            skips, features = self._contract(images, filters, context)
            features = self._bottleneck(features, filters * 2 ** LEVELS, context)
            for level in reversed(range(LEVELS)):
                features = self._expand(features, skips[level], level, context)
            logits = conv2d(features, self.spec.classes, 1, context, "logits", activation=None)
        return Outputs(tf.cast(logits, tf.float32))

    def _contract(self, images: Tensor, filters: int, context: StepContext) -> Tuple[List[Tensor], Tensor]:
        skips, features = [], images
        for level in range(LEVELS):
            skip = _two_convolutions(features, filters * 2 ** level, context, f"down{level}")
            skips.append(skip)
            features = max_pool(skip)
        return skips, features

    def _bottleneck(self, features: Tensor, filters: int, context: StepContext) -> Tensor:
        features = _two_convolutions(features, filters, context, "bottleneck")
        features = dropout(features, DROPOUT_RATE, context, "bottleneck")
        return conv2d_transpose(features, filters // 2, 3, context, "bottleneck/up")

    def _expand(self, features: Tensor, skip: Tensor, level: int, context: StepContext) -> Tensor:
        filters = self.options.filters * 2 ** level
        features = _two_convolutions(crop_and_concat(features, skip), filters, context, f"up{level}")
        return features if level == 0 else conv2d_transpose(features, filters // 2, 3, context, f"up{level}/up")


def _two_convolutions(features: Tensor, filters: int, context: StepContext, name: str) -> Tensor:
    features = conv2d(features, filters, 3, context, f"{name}/a")
    return conv2d(features, filters, 3, context, f"{name}/b")
