"""UNet++ of Zhou et al. (arXiv:1807.10165, arXiv:1912.05074), and what it shares with the plain U-Net beside it.

As the authors' Keras code builds them (MrGiovanni/UNetPlusPlus, keras/helper_functions.py): every node is two 3 x 3
convolutions with bias, ReLU and dropout behind each; between the levels stands a 2 x 2 transposed convolution of
stride 2 without activation. Logits have the size of the image. For one channel and one output there are 9,041,601
parameters, 9,041,700 with the four heads of deep supervision.
"""

from __future__ import annotations

import dataclasses
from typing import Dict, List, Optional, Sequence, Tuple

import tensorflow.compat.v1 as tf

from model.base import Network
from model.layers import conv2d, conv2d_transpose, dropout, max_pool, resize_bilinear
from model.options import ModelOptions
from model.style import Style
from utils.contracts import DataSpec, Geometry, StepContext, Tensor

DEPTH = 4
"""Poolings, and so the level of the whole network."""
DROPOUT_RATE = 0.5

Node = Tuple[int, int]
"""(i, j): the level i, whose features are 2^i times smaller than the image, and the place j along its skip pathway."""


def nodes(level: int) -> List[Node]:
    """The nodes of the network pruned at `level`, those with i + j <= level, each behind all that it reads.

    So a network's nodes are the first of those of every larger one: 3, 6, 10 and 15 for the levels 1 to 4.
    """
    return [(diagonal - j, j) for diagonal in range(level + 1) for j in range(diagonal + 1)]


def sizes(depth: int) -> Geometry:
    """The sizes of a network of so many poolings."""
    return Geometry(divisor=2 ** depth, remainder=0, minimum=2 ** depth, margin=0)


class NodeNetwork(Network):
    """A network of nodes of one kind, `filters` x 2^i channels wide at level i.

    Input sizes are multiples of 16.

    With batch normalisation there is no dropout: the authors have dropout and no normalisation, the much used PyTorch
    port (4uiiurz1/pytorch-nested-unet) the other way round, and the two together disagree about the variance (Li et
    al., arXiv:1801.05134).
    """

    geometry = sizes(DEPTH)
    published_filters = 32
    takes: Tuple[str, ...] = ("normalisation",)
    published_style = Style(padding="SAME", kernel_initialiser="he_normal")

    def __init__(self, options: ModelOptions, spec: DataSpec, outputs: Optional[int] = None) -> None:
        super().__init__(options, spec, outputs)
        if options.normalisation == "batch":
            self.style = dataclasses.replace(self.style, normalisation="batch", bias_with_normalisation=True)

    def _encoder(self, node: Node, above: Tensor, context: StepContext) -> Tensor:
        """X^{i,0}, of the image (i = 0) or of the features `above` it, twice as large."""
        return self._convolved(node, max_pool(above, self.style) if node[0] > 0 else above, context)

    def _nested(self, node: Node, below: Tensor, beside: Sequence[Tensor], context: StepContext) -> Tensor:
        """X^{i,j} with j > 0, of the features `below` it, half as large, and those `beside` it, of its own level."""
        enlarged = self._enlarged(node, below, context)
        return self._convolved(node, tf.concat([enlarged, *beside], axis=self.style.channel_axis), context)

    def _convolved(self, node: Node, features: Tensor, context: StepContext) -> Tensor:
        rate = 0.0 if self.style.normalisation else DROPOUT_RATE
        for layer in "ab":
            name = f"{_name(node)}/{layer}"
            features = conv2d(features, self._width(node), 3, context, name, self.style)
            features = dropout(features, rate, context, name, self.style)
        return features

    def _enlarged(self, node: Node, below: Tensor, context: StepContext) -> Tensor:
        """`below` at twice its size: with the channels of `node`, or where bilinear with its own.

        The PyTorch port aligns the corner pixels when it scales; here pixels are squares ("half-pixel"), as
        everywhere in this project.
        """
        if self.options.upsampling == "bilinear":
            height, width, _ = self.style.extents(below)
            return resize_bilinear(below, 2 * height, 2 * width, self.style)
        # The authors name an initialiser for every layer but this one, which has Keras' default.
        style = dataclasses.replace(self.style.linear, kernel_initialiser="glorot_uniform")
        return conv2d_transpose(below, self._width(node), 2, context, f"{_name(node)}/up", style)

    def _head(self, level: int, features: Tensor, context: StepContext) -> Tensor:
        """The logits of X^{0,level}."""
        return conv2d(features, self.outputs, 1, context, f"head{level}", self.style.linear)

    def _width(self, node: Node) -> int:
        return self.filters * 2 ** node[0]


class UNetPP(NodeNetwork):
    """Nodes X^{i,j} that read all nodes before them on their level, and the one below the last of these.

    With deep supervision there is a head on each X^{0,j}, j > 0: the deepest gives the main logits, the others,
    from deep to shallow, the auxiliary ones. Pruned at level k the network is the part of it that X^{0,k} reads, and
    k the deepest head. It is trained whole; its variables have the same names at every level.
    """

    scope = "unetpp"
    takes = ("normalisation", "deep_supervision")

    def __init__(self, options: ModelOptions, spec: DataSpec, outputs: Optional[int] = None) -> None:
        super().__init__(options, spec, outputs)
        # Without deep supervision no head but the last has been trained.
        self.levels = tuple(range(1, DEPTH + 1)) if options.deep_supervision else (DEPTH,)

    def _heads(self, images: Tensor, context: StepContext) -> Sequence[Tensor]:
        level = DEPTH if context.training else self.options.pruning_level or DEPTH
        features = self._nodes(images, level, context)
        return [self._head(j, features[0, j], context) for j in self._supervised(level, context.training)]

    def _nodes(self, images: Tensor, level: int, context: StepContext) -> Dict[Node, Tensor]:
        """The features of each node."""
        found: Dict[Node, Tensor] = {}
        for i, j in nodes(level):
            if j == 0:
                found[i, j] = self._encoder((i, j), found[i - 1, 0] if i > 0 else images, context)
            else:
                beside = [found[i, before] for before in range(j)]
                found[i, j] = self._nested((i, j), found[i + 1, j - 1], beside, context)
        return found

    def _supervised(self, level: int, training: bool) -> List[int]:
        """The levels whose heads are wanted, the deepest first."""
        alone = not self.options.deep_supervision or (self.options.head_mode == "fast" and not training)
        return [level] if alone else list(range(level, 0, -1))


def _name(node: Node) -> str:
    return f"node{node[0]}_{node[1]}"
