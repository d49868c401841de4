"""Crops of an image turned, scaled and mirrored around a random point, from the sample's own key.

Image and label are resampled once, from the pixels of the image that the crop shows: bilinear the image, nearest the
label and the valid pixels. Beyond the border lies the mirrored image, whose pixels count as those that they mirror.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Tuple

import tensorflow.compat.v1 as tf

from datasets.feeding import Decoded
from utils.contracts import Tensor
from utils.randomness import purpose_key, uniform
from utils.warp import bilinear, mirrored, nearest

KNOTS = 64
"""Pixels between two knots of the elastic field."""


@dataclasses.dataclass(frozen=True)
class AffineRule:
    """How crops are drawn.

    Attributes:
        height, width: of a crop in pixels.
        margin: pixels around a crop that its image shows too.
        rotation_degrees: a crop is turned by up to this, either way; 180 for any direction.
        log_scale: it is enlarged by exp(u), u from minus this to this.
        elastic_pixels: how far, at most, the knots of a smooth field move what they lie on; 0 for no field.
        zoom: it is enlarged by this, too, always.
        foreground_share: the share of crops around a pixel of a class other than the first, where an image has one.
    """

    height: int
    width: int
    margin: int
    rotation_degrees: float
    log_scale: float
    elastic_pixels: float
    zoom: float = 1.0
    foreground_share: float = 0.0

    @property
    def extent(self) -> Tuple[int, int]:
        """Height and width of a crop's image."""
        return self.height + 2 * self.margin, self.width + 2 * self.margin


def affine_crop(decoded: Decoded, key: Tensor, rule: AffineRule) -> Tuple[Tensor, Tensor, Tensor]:
    """A crop of a decoded image, of its label and of its valid pixels, around a point that may be any of the image.

    Args:
        decoded: the image, uint8 or float32 in [-1, 1], and its maps.
        key: int64 [2], the sample's; equal keys give equal crops.
        rule: how it is drawn.

    Returns:
        The image, float32 [height + 2 margin, width + 2 margin, channels] on the scale 0..255; the label, int32
        [height, width]; the valid pixels, float32 [height, width], 1 or 0.
    """
    size = tf.shape(decoded.label)
    centre, matrix = drawn_map(key, size, rule)
    if rule.foreground_share:
        centre = on_foreground(centre, decoded, key, rule.foreground_share)
    rows, columns = places(centre, matrix, rule.extent)
    if rule.elastic_pixels:
        field = elastic_field(key, rule)
        rows, columns = rows + field[..., 0], columns + field[..., 1]
    return resampled(decoded, mirrored(rows, size[0]), mirrored(columns, size[1]), rule.margin)


def drawn_map(key: Tensor, size: Tensor, rule: AffineRule) -> Tuple[Tensor, Tensor]:
    """A point of an image of `size`, int32 [2], and the matrix that takes a crop's steps to the image's.

    Returns:
        float32 [2], row and column; float32 [2, 2].
    """
    row, column, turn, zoom, coin = tf.unstack(uniform(purpose_key(key, "affine/map"), [5]))
    centre = tf.stack([row, column]) * tf.cast(size, tf.float32) - 0.5
    angle = (2.0 * turn - 1.0) * math.radians(rule.rotation_degrees)
    step = tf.exp((1.0 - 2.0 * zoom) * rule.log_scale) / rule.zoom
    down, along = step * tf.cos(angle), step * tf.sin(angle)
    mirror = tf.where(coin < 0.5, -1.0, 1.0)
    return centre, tf.stack([tf.stack([down, -along * mirror]), tf.stack([along, down * mirror])])


def on_foreground(centre: Tensor, decoded: Decoded, key: Tensor, share: float) -> Tensor:
    """A pixel of a class other than the first, in this share of the draws, else `centre`; float32 [2].

    A class is drawn from those that valid pixels of the image have, then one of its pixels, evenly: what is small, or
    rare, is seen as often as what is not. An image that has none keeps its centre.
    """
    coin, kind, place = tf.unstack(uniform(purpose_key(key, "affine/foreground"), [3]))
    label = tf.where(decoded.valid, decoded.label, tf.zeros_like(decoded.label))
    classes = tf.unique(tf.boolean_mask(label, label > 0)).y

    def pixel() -> Tensor:
        return tf.cast(_one_of(tf.where(tf.equal(label, _one_of(classes, kind))), place), tf.float32)

    return tf.cond(tf.logical_and(coin < share, tf.size(classes) > 0), pixel, lambda: centre)


def _one_of(things: Tensor, number: Tensor) -> Tensor:
    """The thing at `number`, in [0, 1), of the way through `things`."""
    length = tf.shape(things)[0]
    return things[tf.minimum(tf.cast(number * tf.cast(length, tf.float32), tf.int32), length - 1)]


def places(centre: Tensor, matrix: Tensor, extent: Tuple[int, int]) -> Tuple[Tensor, Tensor]:
    """Where the pixels of a crop of `extent` lie in the image: rows and columns, float32 [height, width] each.

    Pixel p lies at centre + matrix (p - middle of the crop).
    """
    down, along = (tf.range(length, dtype=tf.float32) - (length - 1) / 2.0 for length in extent)
    rows, columns = (centre[axis] + matrix[axis, 0] * down[:, tf.newaxis] + matrix[axis, 1] * along[tf.newaxis, :]
                     for axis in (0, 1))
    return rows, columns


def elastic_field(key: Tensor, rule: AffineRule) -> Tensor:
    """How far the pixels of a crop's image are moved, in rows and in columns: float32 [height, width, 2].

    The knots are drawn evenly from the range that the rule allows, what lies between is bicubic. They reach at
    least from edge to edge of the crop, and the field is cut to it, so that their distance is the same everywhere.
    """
    knots = [-(-length // KNOTS) + 1 for length in rule.extent]
    drawn = (2.0 * uniform(purpose_key(key, "affine/elastic"), [1, *knots, 2]) - 1.0) * rule.elastic_pixels
    field = tf.image.resize_bicubic(drawn, [KNOTS * number for number in knots], half_pixel_centers=True)[0]
    top, left = ((KNOTS * number - length) // 2 for number, length in zip(knots, rule.extent))
    return field[top:top + rule.extent[0], left:left + rule.extent[1]]


def resampled(decoded: Decoded, rows: Tensor, columns: Tensor, margin: int) -> Tuple[Tensor, Tensor, Tensor]:
    """See `affine_crop`: what lies at some places within the image, float32 [height, width] each."""
    extent = rows.shape.as_list()
    image = bilinear(decoded.image, tf.reshape(rows, [-1]), tf.reshape(columns, [-1]))
    image = tf.reshape(image, [*extent, decoded.image.shape.as_list()[-1]])
    image = image if decoded.image.dtype == tf.uint8 else (image + 1.0) * 127.5
    shown = [tf.reshape(part[margin:extent[0] - margin, margin:extent[1] - margin], [-1]) for part in (rows, columns)]
    label, valid = (tf.reshape(nearest(part, *shown), [length - 2 * margin for length in extent])
                    for part in (decoded.label, decoded.valid))
    return image, label, tf.cast(valid, tf.float32)
