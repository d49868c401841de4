"""The variants of an image that its prediction may be averaged over: scales, and positions of the square."""

from __future__ import annotations

import itertools
from typing import Mapping, NamedTuple, Tuple

import tensorflow.compat.v1 as tf

from datasets.options import DataOptions
from utils.contracts import Tensor

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""Of the published multi-scale evaluation, each with and without a horizontal flip."""


class Position(NamedTuple):
    """Whether an image is transposed, then turned upside down, then mirrored."""

    transposed: bool
    upside_down: bool
    mirrored: bool


_AS_IT_IS = Position(False, False, False)
_FLIPS = (_AS_IT_IS, Position(False, False, True))
_TURNS = tuple(itertools.starmap(Position, itertools.product((False, True), repeat=3)))


class Variants(NamedTuple):
    """Every scale is seen in every position."""

    scales: Tuple[float, ...]
    positions: Tuple[Position, ...]


_BY_NAME: Mapping[str, Variants] = {
    "none": Variants((1.0,), (_AS_IT_IS,)), "flip": Variants((1.0,), _FLIPS), "turns": Variants((1.0,), _TURNS),
    "scales_and_flip": Variants(SCALES, _FLIPS)}


def variants_of(options: DataOptions) -> Variants:
    """Those that the options ask for."""
    named = _BY_NAME[options.tta]
    return named._replace(scales=options.tta_scales) if options.tta_scales else named


def placed(images: Tensor, position: Position) -> Tensor:
    """Images [..., height, width, channels] transposed, turned upside down, mirrored."""
    images = _transposed(images) if position.transposed else images
    axes = [axis for axis, wanted in ((-3, position.upside_down), (-2, position.mirrored)) if wanted]
    return tf.reverse(images, axes) if axes else images


def placed_back(images: Tensor, position: Position) -> Tensor:
    """What `placed` made others of."""
    images = placed(images, position._replace(transposed=False))
    return _transposed(images) if position.transposed else images


def _transposed(images: Tensor) -> Tensor:
    axes = list(range(images.shape.ndims))
    axes[-3], axes[-2] = axes[-2], axes[-3]
    return tf.transpose(images, axes)
