"""UNet-S5-D16 as MMSegmentation builds it: five encoder stages, a downsampling of 16, heads of three kinds.

Every convolution is same-padded, without bias, followed by batch normalisation and ReLU; the classifiers alone have
a bias and nothing behind. With three channels, two classes and the auxiliary head there are 29,060,676 (FCN),
29,046,276 (PSPNet) or 29,064,996 (DeepLabV3) trainable parameters.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Sequence

import tensorflow.compat.v1 as tf

from model.base import Network
from model.heads import classify, deeplabv3, fcn, pspnet
from model.layers import conv2d, max_pool, resize_bilinear
from model.style import Style
from utils.contracts import Geometry, StepContext, Tensor

STAGES = 5

Head = Callable[[Tensor, int, StepContext, Style], Tensor]
HEADS: Dict[str, Head] = {"fcn": fcn, "pspnet": pspnet, "deeplabv3": deeplabv3}


class UNetS5D16(Network):
    """The backbone, a head on its finest features, and while training an auxiliary one on those of half the size.

    Input sizes are multiples of 16.
    """

    geometry = Geometry(divisor=16, remainder=0, minimum=16, margin=0)
    scope = "unet_s5_d16"
    published_filters = 64
    published_style = Style(padding="SAME", kernel_initialiser="he_normal_fan_out", normalisation="batch")

    def _heads(self, images: Tensor, context: StepContext) -> Sequence[Tensor]:
        features = self._decode(self._encode(images, context), context)
        with tf.variable_scope("head"):
            found = HEADS[self.options.decode_head](features[-1], self.filters, context, self.style)
            heads = [classify(found, self.outputs, context, "head", self.style)]
        if context.training:
            with tf.variable_scope("auxiliary"):
                found = fcn(features[-2], self.filters, context, self.style)
                heads.append(classify(found, self.outputs, context, "auxiliary", self.style))
        return heads

    def _encode(self, images: Tensor, context: StepContext) -> List[Tensor]:
        """The features of each stage, the finest first."""
        stages: List[Tensor] = []
        for stage in range(STAGES):
            features = max_pool(stages[-1], self.style) if stages else images
            stages.append(self._two_convolutions(features, stage, context, f"encoder{stage}"))
        return stages

    def _decode(self, skips: List[Tensor], context: StepContext) -> List[Tensor]:
        """The features of each level, the deepest first."""
        levels = [skips[-1]]
        for level in reversed(range(STAGES - 1)):
            with tf.variable_scope(f"decoder{level}"):
                height, width, _ = self.style.extents(skips[level])
                enlarged = resize_bilinear(levels[-1], height, width, self.style)
                up = conv2d(enlarged, self._width(level), 1, context, "up", self.style)
                merged = tf.concat([skips[level], up], axis=self.style.channel_axis)
            levels.append(self._two_convolutions(merged, level, context, f"decoder{level}"))
        return levels

    def _two_convolutions(self, features: Tensor, level: int, context: StepContext, name: str) -> Tensor:
        for index in range(2):
            features = conv2d(features, self._width(level), 3, context, f"{name}/conv{index}", self.style)
        return features

    def _width(self, level: int) -> int:
        return self.filters * 2 ** level
