"""How an image becomes the input of a network, and how its output becomes an image again: what every way promises."""

from __future__ import annotations

import abc
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

from datasets.augmentation import Augmentation
from utils.contracts import Tensor
from utils.errors import UserError
from utils.tiling import Windows

Samples = Dict[str, Tensor]
"""One sample by name: "image", "label", "valid"; for evaluation also "region", where the data has one."""
Function = Callable[[Tensor], Tensor]
"""From network inputs, float32 [batch, height, width, channels], to logits."""


class Decoded(NamedTuple):
    """A `datasets.base.Sample` on the graph, nothing missing.

    Attributes:
        image: [height, width, channels], float32 in [-1, 1] or uint8, as the spec says.
        label: int32 [height, width], class indices.
        valid: bool [height, width], where pixels count.
        region: bool [height, width], what is scored beside the whole.
    """

    image: Tensor
    label: Tensor
    valid: Tensor
    region: Tensor


class Feeding(abc.ABC):
    """One way of feeding images to a network; stored with the run, and followed by every mode.

    It knows geometry alone.

    Attributes:
        batched: whether the samples of evaluation all have one size, and so can form batches.
        whole: whether an image is predicted at once at its own size, which is better static.
        window: height and width of the network's input while training.
    """

    batched = True
    whole = False
    window: Tuple[int, int]

    @abc.abstractmethod
    def training_sample(self, decoded: Decoded, augmentation: Augmentation, key: Tensor) -> Samples:
        """What a training step gets of an image: "image" float32 [height, width, channels], "label" int32 and "valid"
        float32 [output height, output width], all of static shape; drawn from the sample's `key`, int64 [2], alone.
        """

    @abc.abstractmethod
    def evaluation_sample(self, decoded: Decoded) -> Samples:
        """What is evaluated and predicted: the same without random draws, and "region" where the spec has one."""

    def normalised(self, images: Tensor) -> Tensor:
        """From "image" of samples in a batch to the input of the network."""
        return images

    @abc.abstractmethod
    def require_size(self, height: int, width: int) -> None:
        """Make sure that images of this size can be fed.

        Raises:
            UserError: they cannot.
        """

    def remarks(self, height: int, width: int) -> Sequence[str]:
        """What must be said of feeding images of this size, the smallest of all, a line each."""
        return ()

    @abc.abstractmethod
    def logits(self, images: Tensor, network: Function, batch_size: int) -> List[Tensor]:
        """Logits [batch, output height, output width, channels] for "image" of evaluation samples in a batch.

        Args:
            images: as in a batch of `evaluation_sample`.
            network: takes what `normalised` gives, of a legal size.
            batch_size: inputs that the network gets at a time, where an image is predicted in parts.

        Returns:
            One for each variant of the images that is to be averaged over.
        """

    def streamed(self) -> Windows:
        """The windows that an image which is larger than memory is predicted in.

        Raises:
            UserError: images are not predicted in windows of their own that know nothing of each other.
        """
        raise UserError("images larger than memory with a run that sees every image scaled to one size",
                        "windows at the images' own scale", "train a run that sees them so, as those of --dataset "
                        "folder do (feeding native_crops in a recipe)")

    def window_logits(self, images: Tensor, insides: Tensor, network: Function) -> List[Tensor]:
        """Logits [batch, inner height, inner width, channels] of windows as `streamed` has them.

        Args:
            images: [batch, window height, window width, channels], of the type that the spec names: decoded images,
                what lies beyond the image from its mirrors.
            insides: int32 [batch, 2], the height and width of each window's part that belongs to the image.
            network: as of `logits`.

        Returns:
            One for each variant that is to be averaged over.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def whole_logits(self, images: Tensor, network: Function) -> Tensor:
        """Logits of whole images, each seen once and all of it, for `restore`; of a batch of any size, whose images are
        of one size, known only when the graph runs. Of the scales and flips of the options there is one.

        Args:
            images: as `Decoded.image`, [batch, height, width, channels].
            network: as for `logits`.
        """

    @property
    @abc.abstractmethod
    def whole_rule(self) -> str:
        """In words, what `whole_logits` and `restore` do to an image: "An image is ..."."""

    @abc.abstractmethod
    def shown(self, images: Tensor, training: bool = False) -> Tensor:
        """The part of "image" of samples in a batch, of training or of evaluation, that the outputs lie over: float32
        in [-1, 1].
        """

    @abc.abstractmethod
    def restore(self, probabilities: Tensor, size: Tuple[int, int]) -> Tensor:
        """Output probabilities [batch, height, width, classes] scaled to the images' own `size`."""
