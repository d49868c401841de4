"""TensorFlow Lite, in float32 and with its built-in operators alone."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import Any, Dict, Iterator, List

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.exports.base import Format, Function
from runtime.exports.served import Served
from runtime.exports.tensorflow_forms import VERSIONS, on_cpu
from utils.errors import UserError


class TFLite(Format):
    """One file; the interpreter is told the size of an image before it is run (`resize_tensor_input`)."""

    name, file, runs_in = "tflite", "model.tflite", "TensorFlow Lite"

    def write(self, served: Served, directory: str) -> Dict[str, Any]:
        """See `Format.write`."""
        with tf.Graph().as_default() as graph, tf.Session(config=on_cpu()) as session:
            tf.import_graph_def(served.graph_def, name="")
            image, outputs = served.tensors(graph)
            converter = tf.lite.TFLiteConverter.from_session(session, [image], list(outputs))
            try:
                with _quiet():
                    content = converter.convert()
            except Exception as error:  # noqa: BLE001 - of a class that TensorFlow keeps to itself, which moves about
                raise _refused(error) from error
        with open(os.path.join(directory, self.file), "wb") as stream:
            stream.write(content)
        return {"operators": "built-in", "versions": VERSIONS}

    @contextlib.contextmanager
    def opened(self, directory: str) -> Iterator[Function]:
        """See `Format.opened`."""
        interpreter = tf.lite.Interpreter(model_path=os.path.join(directory, self.file))
        yield lambda pixels: _run(interpreter, pixels)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The converter prints statistics past Python, however it is asked not to; what fails is in its exception too."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _run(interpreter: Any, pixels: np.ndarray) -> Dict[str, np.ndarray]:
    with _quiet():
        return _run_quietly(interpreter, pixels)


def _run_quietly(interpreter: Any, pixels: np.ndarray) -> Dict[str, np.ndarray]:
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, pixels.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, pixels)
    interpreter.invoke()
    return {details["name"]: interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()}


def _refused(error: Exception) -> UserError:
    names: List[str] = sorted(set(re.findall(r"'(tf\.\w+)' op", str(error))))
    reason = f"it has no operator for {', '.join(names)}" if names else str(error).splitlines()[0]
    return UserError(f"--format tflite: {reason}", "a network of TensorFlow Lite's built-in operators",
                     "use another --format")
