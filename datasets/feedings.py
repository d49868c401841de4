"""The ways of feeding by name."""

from __future__ import annotations

from typing import Callable, Dict

from datasets.feeding import Feeding
from datasets.native_crops import NativeCrops
from datasets.options import DataOptions
from datasets.resize_to_window import ResizeToWindow
from utils.contracts import DataSpec, Geometry
from utils.errors import unknown_name

FEEDINGS: Dict[str, Callable[[DataSpec, Geometry, DataOptions], Feeding]] = {
    "resize_to_window": ResizeToWindow, "native_crops": NativeCrops}


def build_feeding(spec: DataSpec, geometry: Geometry, options: DataOptions) -> Feeding:
    """The feeding that `options` name, for a network of this `geometry`.

    Raises:
        UserError: there is no such feeding, or sizes or colours do not fit.
    """
    if options.feeding not in FEEDINGS:
        raise unknown_name("feeding", options.feeding, FEEDINGS)
    return FEEDINGS[options.feeding](spec, geometry, options)
