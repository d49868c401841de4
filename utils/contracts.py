"""What two rooms must both know: small frozen records, and nothing that computes on tensors.

`datasets`, `model` and `objectives` do not know each other; they meet in these.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, NamedTuple, Optional, Tuple

from utils.errors import UserError

Tensor = Any
"""A symbolic tensor; its shape and dtype stand in the docstring of whoever takes or gives it."""

MOVING = "moving_statistics"
"""The graph collection of (variable, its value after this step) that layers keep beside what the optimiser trains.

They are values, not operations: the step assigns them together with its update, or, where it fails, not at all.
"""

UNIFORM, GAUSSIAN = "uniform", "gaussian"
"""How overlapping windows are averaged: all pixels alike, or those in the middle of a window more."""


PLAIN, SHIFTED, ROWS, PRODUCT = "plain", "shifted", "rows", "product"
STRIPS = {"strips_16": 16, "strips_32": 32}
"""How the gradient of a convolution's kernel is computed: by the library's operation; as a product of matrices for each
place of the kernel, for each of its rows, or for all of it; or in strips of so many rows of the image.
"""
KERNEL_GRADIENTS = (PLAIN, SHIFTED, ROWS, PRODUCT, *STRIPS)


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """What a network and an objective must know of a data set.

    Attributes:
        name: the catalogue's name of the data set.
        channels: channels of an image.
        class_names: one name per class index.
        folds: number of cross-validation folds, or 0 where a published split validates.
        image_dtype: of decoded images: "float32", in [-1, 1], or "uint8", as the file has them.
        palette: red, green and blue of each class in pictures, 0-255; empty for two classes, which are black and white.
        has_region: whether samples carry a region that is scored beside the whole image (a field of view, say).
        statistics: mean and standard deviation of each channel over the training images, on the scale 0-255; empty
            where nobody has measured them.
        mixed_sizes: whether images of one split may differ in height and width.
    """

    name: str
    channels: int
    class_names: Tuple[str, ...]
    folds: int
    image_dtype: str = "float32"
    palette: Tuple[Tuple[int, int, int], ...] = ()
    has_region: bool = False
    statistics: Tuple[Tuple[float, ...], ...] = ()
    mixed_sizes: bool = False

    @property
    def classes(self) -> int:
        """The number of classes, the background included."""
        return len(self.class_names)


@dataclasses.dataclass(frozen=True)
class Geometry:
    """How the input size of a network maps to its output size, the same for height and width.

    Attributes:
        divisor: legal input sizes are `divisor` pixels apart.
        remainder: a legal size leaves this remainder.
        minimum: the smallest legal input size.
        margin: pixels that each side of the input loses on the way to the output.
        usual: the input size where none is asked for.
    """

    divisor: int
    remainder: int
    minimum: int
    margin: int
    usual: int = 512

    def output_size(self, input_size: int, setting: str = "input_size") -> int:
        """The output size for a legal input size; `setting` is what a recipe calls it, or a flag.

        Raises:
            UserError: the size is illegal; the text names the nearest legal ones.
        """
        if input_size < self.minimum or input_size % self.divisor != self.remainder:
            legal = " or ".join(str(size) for size in self.nearest(input_size))
            by_recipe = f", set as {setting} in a recipe, or a --recipe of that network"
            raise UserError(f"{setting} {input_size} does not fit the network",
                            f"{self.minimum} or more, in steps of {self.divisor}",
                            f"use {legal}" + by_recipe * (not setting.startswith("--")))
        return input_size - 2 * self.margin

    def holding(self, size: int) -> int:
        """The smallest legal input size that is not below `size`."""
        return self.nearest(size)[-1]

    def nearest(self, input_size: int) -> Tuple[int, ...]:
        """The legal sizes next to `input_size`: the one below, where there is one, and the one above."""
        if input_size <= self.minimum:
            return (self.minimum,)
        below = input_size - (input_size - self.remainder) % self.divisor
        return (below, below + self.divisor) if below < input_size else (below,)


class Convolution(NamedTuple):
    """A convolution by its sizes.

    Attributes:
        batch: images.
        height, width: of the outputs, in pixels.
        channels, filters: of the inputs and of the outputs.
        size: of the square kernel.
        dilation: pixels from one weight of the kernel to the next.
        stride: pixels from what one output sees to what the next does.
        margin: rows, and columns, of what outputs see that are padding.
    """

    batch: int
    height: int
    width: int
    channels: int
    filters: int
    size: int
    dilation: int
    stride: int = 1
    margin: int = 0

    @property
    def reach(self) -> int:
        """Rows, and columns, from the first that an output sees to the last."""
        return (self.size - 1) * self.dilation

    @property
    def seen(self) -> Tuple[int, int]:
        """Rows and columns of the inputs that outputs see, padding included."""
        rows, columns = ((extent - 1) * self.stride + 1 + self.reach for extent in (self.height, self.width))
        return rows, columns

    @property
    def kernel_shape(self) -> Tuple[int, int, int, int]:
        """[size, size, channels, filters]."""
        return self.size, self.size, self.channels, self.filters

    @property
    def operations(self) -> int:
        """Floating-point operations of the forward pass, two for a multiplication and addition; of either gradient,
        too.
        """
        return 2 * self.batch * self.height * self.width * self.channels * self.filters * self.size ** 2


def _identity(tensor: Tensor) -> Tensor:
    return tensor


def _plain(convolution: Convolution) -> str:
    return PLAIN


@dataclasses.dataclass(frozen=True)
class StepContext:
    """What a layer may know of the step that it is part of.

    Attributes:
        training: whether dropout is on and batch statistics are taken.
        seed: the run's seed, from which each variable's initialiser takes its own.
        sample_keys: int64 [batch, 2], the random key of each sample; None unless training.
        cross_rank_mean: mean of a tensor over the ranks whose statistics are taken together; the identity for one.
        ranks: how many those are.
        kernel_gradient: chooses how the gradient of a convolution's kernel is computed: one of
            KERNEL_GRADIENTS, which all give the same but for rounding.
    """

    training: bool
    seed: int
    sample_keys: Optional[Tensor] = None
    cross_rank_mean: Callable[[Tensor], Tensor] = _identity
    ranks: int = 1
    kernel_gradient: Callable[[Convolution], str] = _plain


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What a network computes.

    Attributes:
        logits: float32 [batch, height, width, channels], as many channels as the objective asked for.
        auxiliaries: logits of auxiliary heads, same layout. While training they are possibly smaller; when not, they
            are averaged with the main ones, as probabilities, by whoever predicts.
    """

    logits: Tensor
    auxiliaries: Tuple[Tensor, ...] = ()
