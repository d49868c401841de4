"""ONNX, converted by tf2onnx and run by onnxruntime; neither is imported before it is asked for."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import Any, Dict, Iterator

from runtime.exports.base import Format, Function
from runtime.exports.optional import require_module, version_of
from runtime.exports.served import IMAGE, Served
from utils.errors import UserError

OPSET = 17
"""The version of ONNX's own operators; no others are used."""
_MODULES = ("tf2onnx", "onnx", "onnxruntime")


class Onnx(Format):
    """One file; batch, height and width are dynamic."""

    name, file, runs_in = "onnx", "model.onnx", "onnxruntime"

    def require(self) -> None:
        """See `Format.require`."""
        for module in _MODULES:
            require_module(module, "--format onnx", "pip install -r requirements/export.txt")

    def write(self, served: Served, directory: str) -> Dict[str, Any]:
        """See `Format.write`."""
        import onnx
        import tf2onnx

        logging.getLogger("tf2onnx").setLevel(logging.ERROR)
        names = {name + ":0": name for name in (IMAGE, *served.outputs)}
        image, *outputs = names
        model, _ = tf2onnx.convert.from_graph_def(served.graph_def, input_names=[image], output_names=outputs,
                                                  opset=OPSET, tensors_to_rename=names)
        _name_axes(model)
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            # What tf2onnx knows no operator for stays what it was in TensorFlow.
            raise UserError(f"--format onnx: {str(error).splitlines()[0]}", f"operators of opset {OPSET} alone",
                            "use another --format") from error
        with open(os.path.join(directory, self.file), "wb") as stream:
            stream.write(model.SerializeToString())
        return {"opset": OPSET, "versions": {name: version_of(name) for name in ("tensorflow", *_MODULES)}}

    @contextlib.contextmanager
    def opened(self, directory: str) -> Iterator[Function]:
        """See `Format.opened`."""
        import onnxruntime

        session = onnxruntime.InferenceSession(os.path.join(directory, self.file), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        yield lambda pixels: dict(zip(names, session.run(names, {IMAGE: pixels})))


def _name_axes(model: Any) -> None:
    """Call the axes that may have any length what they are, in place of numbers."""
    for value in (*model.graph.input, *model.graph.output):
        for axis, size in zip(("batch", "height", "width"), value.type.tensor_type.shape.dim):
            if size.dim_value < 1:
                size.dim_param = axis
