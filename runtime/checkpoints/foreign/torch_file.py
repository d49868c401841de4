"""The tensors of a PyTorch checkpoint, without PyTorch and without running anything that the file names."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np

from runtime.checkpoints.foreign.pickle_reader import Call, Name
from runtime.checkpoints.foreign.torch_archive import Archive, Storage, as_storage, read_archive
from utils.errors import UserError

STATE_DICT = "state_dict"
_WRAPPER = "module."
_TENSOR = (Name("torch._utils", "_rebuild_tensor"), Name("torch._utils", "_rebuild_tensor_v2"))
_PARAMETER = Name("torch._utils", "_rebuild_parameter")
_MOST_AXES = 32
_UNFOLDING = 8
"""Tensors may share storages, but all together have at most so many times the bytes of these."""


class _View(NamedTuple):
    """A tensor as the file describes it: a strided view of a storage."""

    storage: Storage
    offset: int
    shape: Tuple[int, ...]
    strides: Tuple[int, ...]

    @property
    def elements(self) -> int:
        number = 1
        for extent in self.shape:
            number *= extent
        return number


def read_tensors(path: str) -> Dict[str, np.ndarray]:
    """The state dict of a PyTorch checkpoint, in either format of `torch.save`.

    It is what the file holds under "state_dict", or the file as a whole. A leading "module." (what data parallel
    training puts before each name) is removed. Nothing that the file names is imported or called.

    Returns:
        An array for each tensor by name, C-contiguous and of its own memory; bfloat16 becomes float32.

    Raises:
        UserError: no such file, not a checkpoint, damaged, no state dict, or a tensor that is not within its storage.
    """
    try:
        archive = read_archive(path)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _unreadable(path, str(error)) from error
    budget = _UNFOLDING * sum(len(held) for held in archive.numbers.values())
    tensors: Dict[str, np.ndarray] = {}
    for full_name, value in _state_dict(path, archive.content).items():
        name = full_name[len(_WRAPPER):] if full_name.startswith(_WRAPPER) else full_name
        try:
            if name in tensors:
                raise ValueError("the name is there twice")
            tensors[name] = _array(archive, value, budget)
        except ValueError as error:
            raise _unreadable(path, f"tensor {full_name}: {error}") from error
        budget -= tensors[name].nbytes
    return tensors


def _state_dict(path: str, content: Any) -> Dict[str, Any]:
    found = content.get(STATE_DICT, content) if isinstance(content, dict) else None
    if not isinstance(found, dict) or not any(_view(value) for value in found.values()):
        raise UserError(f"{path}: no state dict (a mapping from names to tensors)",
                        f'a checkpoint that holds one, itself or under "{STATE_DICT}"',
                        "save the model's state_dict(), not the model")
    strangers = [name for name in found if not isinstance(name, str)]
    if strangers:
        raise _unreadable(path, f"a state dict with {len(strangers)} names that are no text")
    return found


def _array(archive: Archive, value: Any, budget: int) -> np.ndarray:
    view = _view(value)
    if view is None:
        raise ValueError("not a dense tensor")
    values = archive.values(view.storage)
    _check(view)
    if view.elements * values.itemsize > budget:
        raise ValueError("the tensors are far larger than the storages they share")
    strides = [stride * values.itemsize for stride in view.strides]
    array = np.array(np.lib.stride_tricks.as_strided(values[view.offset:], view.shape, strides), order="C")
    if view.storage.kind == "BFloat16Storage":
        # A bfloat16 is the upper half of a float32.
        return (array.astype(np.uint32).ravel() << 16).view(np.float32).reshape(view.shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _check(view: _View) -> None:
    """A view must stay within its storage, and not show its numbers more than once."""
    numbers = (view.offset, *view.shape, *view.strides)
    if any(not isinstance(number, int) or number < 0 for number in numbers) or len(view.shape) != len(view.strides):
        raise ValueError("its shape and strides are no numbers of elements")
    if len(view.shape) > _MOST_AXES:
        raise ValueError(f"it has {len(view.shape)} axes")
    last = view.offset + sum((extent - 1) * stride for extent, stride in zip(view.shape, view.strides))
    limit = view.storage.elements
    if view.elements and (last >= limit or view.elements > limit):
        raise ValueError(f"shape {view.shape}, strides {view.strides} and offset {view.offset} lead outside its "
                         f"storage of {limit} numbers")
    if not view.elements and view.offset > limit:
        raise ValueError(f"offset {view.offset} leads outside its storage of {limit} numbers")


def _view(value: Any) -> Optional[_View]:
    """The tensor that a value of the pickle stands for, or None where it is something else."""
    if isinstance(value, Call) and value.function == _PARAMETER and value.arguments:
        value = value.arguments[0]
    if not isinstance(value, Call) or value.function not in _TENSOR or len(value.arguments) < 4:
        return None
    storage, (offset, shape, strides) = as_storage(value.arguments[0]), value.arguments[1:4]
    if storage is None or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        return None
    return _View(storage, offset, shape, strides)


def _unreadable(path: str, what: str) -> UserError:
    return UserError(f"{path}: {what}", "a whole PyTorch checkpoint, as torch.save writes it",
                     "compare its checksum with the publisher's, and fetch or save it again")
