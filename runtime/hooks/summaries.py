"""Writes TensorBoard summaries."""

from __future__ import annotations

import io
from typing import Any, Callable, Dict

import numpy as np
import tensorflow.compat.v1 as tf
from PIL import Image

from runtime.hooks.base import StepHook
from utils.contracts import Tensor
from utils.overlay import visible


class SummaryHook(StepHook):
    """Writes a summary at the first step and every `every` steps.

    Numbers are fetched, and summaries made of them here: not every device computes with strings. Where the event file
    cannot be written that is told once, and the run goes on without summaries.

    Args:
        values: what to show, by name: float scalars, and images, uint8 [batch, height, width, channels], of which
            the first is shown, as far as `utils.overlay.visible` says.
        every: steps between two summaries.
        directory: where the event file lies; hooks of one directory share it.
        tell: shows a line to the user.
    """

    def __init__(self, values: Dict[str, Tensor], every: int, directory: str, tell: Callable[[str], None]) -> None:
        self._values = {name: value[0] if value.shape.ndims else value for name, value in values.items()}
        self._every = every
        self._directory = directory
        self._tell = tell
        self._failed = False

    def fetches(self) -> Dict[str, Any]:
        """See `StepHook.fetches`."""
        due = self.first or self.step % self._every == 0
        return self._values if due and not self._failed else {}

    def take(self, values: Dict[str, Any]) -> None:
        """See `StepHook.take`."""
        if values:
            summary = tf.Summary(value=[_shown(name, np.asarray(value)) for name, value in values.items()])
            self._attempt(lambda writer: writer.add_summary(summary, self.step))

    def end(self, session: tf.Session) -> None:
        """Flush the event file."""
        if not self._failed:
            self._attempt(lambda writer: writer.flush())

    def _attempt(self, action: Callable[[Any], None]) -> None:
        try:
            action(tf.summary.FileWriterCache.get(self._directory))
        except (OSError, RuntimeError, tf.errors.OpError) as error:
            # TensorFlow's writer raises any of these, long after the write, from a thread of its own.
            self._failed = True
            self._tell(f"warning: no more TensorBoard summaries ({str(error).splitlines()[0]}); going on")


def _shown(name: str, value: np.ndarray) -> Any:
    """A scalar, or an image [height, width, channels], under the name that TensorFlow's own operations give it."""
    if not value.ndim:
        return tf.Summary.Value(tag=name, simple_value=float(value))
    image = visible(value)
    height, width, channels = image.shape
    encoded = io.BytesIO()
    Image.fromarray(image[..., 0] if channels == 1 else image).save(encoded, format="PNG")
    return tf.Summary.Value(tag=f"{name}/image", image=tf.Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=encoded.getvalue()))
