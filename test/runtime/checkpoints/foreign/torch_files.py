"""Files as torch.save writes them, made without PyTorch: its classes are played by empty ones of the same names."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from unittest import mock

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
KINDS = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage", "i4": "IntStorage",
         "i2": "ShortStorage", "i1": "CharStorage", "u1": "ByteStorage", "b1": "BoolStorage"}


class Numbers:
    """A storage: numbers under a key, and what the pickle says of them."""

    def __init__(self, values, key="0", kind=None, elements=None):
        self.values = np.asarray(values)
        self.key = key
        self.kind = kind or KINDS[self.values.dtype.str[1:]]
        self.elements = self.values.size if elements is None else elements


class Tensor:
    """A view of a storage."""

    def __init__(self, numbers, shape=None, strides=None, offset=0):
        self.arguments = (numbers, offset, (numbers.values.size,) if shape is None else shape,
                          (1,) if strides is None else strides, False, OrderedDict())

    def __repr__(self):
        return "a tensor"

    def __reduce__(self):
        return fake("torch._utils", "_rebuild_tensor_v2"), self.arguments


class Parameter:
    """A tensor that is trained."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return fake("torch._utils", "_rebuild_parameter"), (self.tensor, True, OrderedDict())


class Instance:
    """An object of some class that only the writer knew, with arguments and a state."""

    def __init__(self, module, name, *arguments, state=None):
        self.module, self.name, self.arguments, self.state = module, name, arguments, state

    def __repr__(self):
        return f"an instance of {self.module}.{self.name}"

    def __reduce__(self):
        return (fake(self.module, self.name), self.arguments, self.state)


def tensor(values, key="0"):
    """A whole array as a tensor of its own storage."""
    whole = np.ascontiguousarray(values)
    strides = tuple(stride // whole.itemsize for stride in whole.strides)
    return Tensor(Numbers(whole.ravel(), key), np.shape(values), strides[:np.ndim(values)])


def state_dict(**arrays):
    """Tensors by name, each of its own storage, as PyTorch keeps them."""
    return OrderedDict((name, tensor(values, str(index))) for index, (name, values) in enumerate(arrays.items()))


class _FakeModule(types.ModuleType):
    """Plays a module; the real one, where there is any, stays as it is."""


def fake(module, name):
    """A class that pickles as `module.name`; only to be used while something is pickled."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        parent = ".".join(parts[:end])
        if not isinstance(sys.modules.get(parent), _FakeModule):
            sys.modules[parent] = _FakeModule(parent)
    found = type(name, (), {"__module__": module})
    setattr(sys.modules[module], name, found)
    return found


class _Pickler(pickle.Pickler):
    def __init__(self, stream, view):
        super().__init__(stream, 2)
        self.view = view
        self.storages = {}

    def persistent_id(self, value):
        if not isinstance(value, Numbers):
            return None
        self.storages[value.key] = value
        return ("storage", fake("torch", value.kind), value.key, "cpu", value.elements) + self.view


def pickled(content, view=()):
    """The pickle of `content`, and the storages that it refers to, by key."""
    with mock.patch.dict(sys.modules):
        stream = io.BytesIO()
        pickler = _Pickler(stream, view)
        pickler.dump(content)
        return stream.getvalue(), pickler.storages


def write_zip(path, content, *, order="<", compression=zipfile.ZIP_STORED, without=(), root="archive", data=None):
    """The format of torch 1.6 and later; `data` takes the place of the pickle, entries in `without` are left out."""
    made, storages = pickled(content)
    entries = {"data.pkl": made if data is None else data, "version": b"3\n",
               "byteorder": b"big" if order == ">" else b"little"}
    for key, numbers in storages.items():
        entries[f"data/{key}"] = numbers.values.astype(numbers.values.dtype.newbyteorder(order)).tobytes()
    with zipfile.ZipFile(str(path), "w", compression) as archive:
        for name, held in entries.items():
            if name not in without:
                archive.writestr(f"{root}/{name}", held)
    return str(path)


def write_stream(path, content, system=None, missing=0, data=None):
    """The format before torch 1.6; `missing` bytes are cut off."""
    made, storages = pickled(content, (None,))
    head = [pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, system or SYSTEM)]
    numbers = [struct.pack("<q", held.values.size) + held.values.tobytes() for held in storages.values()]
    parts = [*head, made if data is None else data, pickle.dumps(list(storages), 2), *numbers]
    whole = b"".join(parts)
    with open(str(path), "wb") as stream:
        stream.write(whole[:len(whole) - missing])
    return str(path)


WRITERS = {"zip": write_zip, "stream": write_stream}
