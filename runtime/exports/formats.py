"""The forms by name. A new one is a class and a line here, and its name in `runtime/settings/tree.py`."""

from __future__ import annotations

from typing import Dict

from runtime.exports.base import Format
from runtime.exports.onnx_form import Onnx
from runtime.exports.tensorflow_forms import Frozen, SavedModel
from runtime.exports.tflite_form import TFLite

FORMATS: Dict[str, Format] = {form.name: form for form in (SavedModel(), Onnx(), Frozen(), TFLite())}
