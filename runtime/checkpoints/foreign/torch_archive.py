"""The two containers that PyTorch saves into: a ZIP archive, since 1.6, and the stream of pickles before that."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

import numpy as np

from runtime.checkpoints.foreign.pickle_reader import Call, Name, Persistent, read_pickle

ZIP_MAGIC = b"PK\x03\x04"
STREAM_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How such a stream begins: a pickle of one number that PyTorch chose."""
_STREAM_PROTOCOL = 1001
_PICKLE = "/data.pkl"

DTYPES = {"DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": "u2",
          "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
          "BoolStorage": "?", "ComplexFloatStorage": "c8", "ComplexDoubleStorage": "c16"}
"""NumPy's name of what a storage type holds; of a bfloat16, which NumPy lacks, its bits."""


class Storage(NamedTuple):
    """What a pickle says of a storage: a row of numbers in the file that tensors are views of.

    Attributes:
        kind: PyTorch's name of its type.
        key: its name in the file.
        elements: how many numbers it holds.
    """

    kind: str
    key: str
    elements: int


class Archive(NamedTuple):
    """A file, taken apart.

    Attributes:
        content: what was saved, as `read_pickle` gives it.
        numbers: the bytes of each storage that is in the file, by its key.
        byte_order: "<" or ">", that of `numbers`.
    """

    content: Any
    numbers: Dict[str, bytes]
    byte_order: str

    def values(self, storage: Storage) -> np.ndarray:
        """The numbers of a storage, [elements], read only.

        Raises:
            ValueError: they are not in the file, or their type is unknown.
        """
        if storage.kind not in DTYPES:
            raise ValueError(f"unknown storage type {storage.kind}")
        if storage.key not in self.numbers:
            raise ValueError(f"its storage {storage.key} is not in the file")
        dtype = np.dtype(self.byte_order + DTYPES[storage.kind])
        held = self.numbers[storage.key]
        if not 0 <= storage.elements * dtype.itemsize <= len(held):
            raise ValueError(f"its storage {storage.key} should hold {storage.elements} numbers of "
                             f"{dtype.itemsize} bytes; the file has {len(held)} bytes")
        return np.frombuffer(held, dtype, storage.elements)


def as_storage(value: Any) -> Optional[Storage]:
    """The storage that a value of the pickle refers to, or None where it refers to none."""
    if not isinstance(value, Persistent) or not isinstance(value.identity, tuple) or len(value.identity) < 5:
        return None
    word, kind, key, _, elements, *view = value.identity
    if word != "storage" or not isinstance(kind, Name) or not isinstance(key, str) or not isinstance(elements, int):
        return None
    # PyTorch 0.4 was the last to save storages that are parts of others.
    return Storage(kind.name if kind.module == "torch" and not any(view) else str(kind), key, elements)


def is_torch_file(path: str) -> bool:
    """Whether a file begins like one of PyTorch's.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as stream:
        return stream.read(len(STREAM_MAGIC)).startswith((ZIP_MAGIC, STREAM_MAGIC))


def read_archive(path: str) -> Archive:
    """Take a file apart; neither what it takes in memory nor in time exceeds what its length justifies.

    Raises:
        ValueError: it is no PyTorch file, or damaged.
        OSError: it cannot be read.
    """
    with open(path, "rb") as stream:
        start = stream.read(len(STREAM_MAGIC))
        stream.seek(0)
        if start.startswith(ZIP_MAGIC):
            return _read_zip(stream, os.fstat(stream.fileno()).st_size)
        if start == STREAM_MAGIC:
            return _read_stream(io.BytesIO(stream.read()))
    raise ValueError("neither of the formats of torch.save")


def _read_zip(stream: Any, size: int) -> Archive:
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = _plain_entries(archive, size)
            root = _root(list(entries))
            content = read_pickle(io.BytesIO(archive.read(entries[root + _PICKLE])))
            order = archive.read(entries[root + "/byteorder"]) if root + "/byteorder" in entries else b"little"
            folder = root + "/data/"
            numbers = {name[len(folder):]: archive.read(entry) for name, entry in entries.items()
                       if name.startswith(folder)}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, struct.error) as error:
        raise ValueError(f"a damaged ZIP archive ({error})") from error
    return Archive(content, numbers, ">" if order == b"big" else "<")


def _plain_entries(archive: zipfile.ZipFile, size: int) -> Dict[str, zipfile.ZipInfo]:
    """The entries by name, after a look whether they fit into the file: PyTorch does not compress."""
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("a compressed ZIP archive")
    if sum(max(entry.file_size, entry.compress_size) for entry in entries) > size:
        raise ValueError("a damaged ZIP archive (its entries are larger than the file)")
    return {entry.filename: entry for entry in entries}


def _root(names: List[str]) -> str:
    roots = [name[:-len(_PICKLE)] for name in names if name.endswith(_PICKLE) and name.count("/") == 1]
    if len(roots) != 1:
        raise ValueError("a ZIP archive that torch.save has not written")
    return roots[0]


def _read_stream(stream: io.BytesIO) -> Archive:
    """Magic number, protocol, system, content, the keys of the storages, and these, each after its length."""
    _, protocol, system = (read_pickle(stream) for _ in range(3))
    if protocol != _STREAM_PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("a variant of torch.save's older format that nobody writes")
    content, keys = read_pickle(stream), read_pickle(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("damaged (no list of storages)")
    kinds = {storage.key: storage.kind for storage in _storages(content)}
    return Archive(content, {key: _next_numbers(stream, kinds.get(key)) for key in keys}, "<")


def _next_numbers(stream: io.BytesIO, kind: Optional[str]) -> bytes:
    if kind not in DTYPES:
        raise ValueError(f"unknown storage type {kind}")
    length = stream.read(8)
    count = struct.unpack("<q", length)[0] if len(length) == 8 else -1
    expected = count * np.dtype(DTYPES[kind]).itemsize
    if not 0 <= expected <= len(stream.getbuffer()) - stream.tell():
        raise ValueError("cut short (a storage ends with the file)")
    return stream.read(expected)


def _storages(content: Any) -> Iterator[Storage]:
    """Every storage that the content refers to, however deep."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        storage = as_storage(value)
        if storage is not None:
            yield storage
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple, Call)):
            waiting.extend(value)
