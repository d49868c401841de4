"""Whose checkpoint a path names, by looking at it."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Dict, Iterator, Mapping, Tuple

import numpy as np

from runtime.checkpoints.foreign.mmseg import from_mmseg
from runtime.checkpoints.foreign.nvidia import from_nvidia
from runtime.checkpoints.foreign.torch_archive import is_torch_file
from runtime.checkpoints.foreign.torch_file import read_tensors
from utils.errors import UserError, system_error

_ENDING = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")


def read_foreign(path: str, wanted: Mapping[str, Tuple[int, ...]]) -> Dict[str, np.ndarray]:
    """The variables of a run from weights that another program has trained.

    Args:
        path: a PyTorch checkpoint of one of MMSegmentation's U-Nets, whatever it is called; or the prefix, or one of
            the files, of a TensorFlow checkpoint of NVIDIA's UNet_Medical.
        wanted: the shapes of the run's variables by name, trainable ones and the moments of batch normalisation.

    Returns:
        float32 arrays by the names of `wanted`, but those of an auxiliary head that the weights are without.

    Raises:
        UserError: the path names neither, the file is damaged, or its network is not the run's.
    """
    prefix = _ENDING.sub("", path)
    if os.path.isfile(prefix + ".index"):
        with _naming(prefix):
            return from_nvidia(prefix, wanted)
    try:
        recognised = os.path.isfile(path) and is_torch_file(path)
    except OSError as error:
        raise system_error(error) from error
    if not recognised:
        raise UserError(f"{path}: {_what(path)}",
                        "a PyTorch checkpoint (.pth) of MMSegmentation's U-Net, or the prefix of a TensorFlow "
                        "checkpoint (beside it lies PREFIX.index) of NVIDIA's UNet_Medical",
                        "give the path of one of these")
    tensors = read_tensors(path)
    with _naming(path):
        return from_mmseg(tensors, wanted)


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Put the path before what is wrong with the weights."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error.found}", error.expected, error.repair) from error


def _what(path: str) -> str:
    if os.path.isdir(path):
        return "a directory"
    return "no checkpoint of a known kind" if os.path.exists(path) else "no such file"
