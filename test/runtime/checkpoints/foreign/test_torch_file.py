"""PyTorch checkpoints of both formats: what they hold, what they must not do, and what is wrong with them."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import struct
import zipfile

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from runtime.checkpoints.foreign.pickle_reader import read_pickle
from runtime.checkpoints.foreign.torch_file import read_tensors
from utils.errors import UserError

from .torch_files import (
    WRITERS,
    Instance,
    Numbers,
    Parameter,
    Tensor,
    pickled,
    state_dict,
    tensor,
    write_stream,
    write_zip,
)

KERNEL = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
FORMATS = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the examples of a property are written, one over the other."""
    return tmp_path_factory.mktemp("checkpoints") / "checkpoint.pth"


def same(found, expected):
    """Names, order, types, shapes and values are the same."""
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        assert found[name].flags.c_contiguous
        assert found[name].flags.writeable
        np.testing.assert_array_equal(found[name], values)


# What is read -----------------------------------------------------------------------------------------------------


@FORMATS
@pytest.mark.parametrize("wrap", [lambda tensors: tensors, lambda tensors: {"meta": {}, "state_dict": tensors}],
                         ids=["whole", "state_dict"])
def test_the_state_dict_itself_or_under_its_name(tmp_path, write, wrap):
    arrays = {"a.weight": KERNEL, "a.bias": np.float32([1, -2]), "a.count": np.int64(7)}
    same(read_tensors(write(tmp_path / "x", wrap(state_dict(**arrays)))), arrays)


@FORMATS
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "b1"])
def test_types(tmp_path, write, dtype):
    values = np.array([0, 1, 1, 0, 1]).astype(dtype)
    same(read_tensors(write(tmp_path / "x", state_dict(a=values))), {"a": values})


@FORMATS
def test_bfloat16_is_the_upper_half_of_float32(tmp_path, write):
    bits = np.array([0x3F80, 0xC000, 0x3E80, 0x7F80], np.uint16)
    whole = Tensor(Numbers(bits, kind="BFloat16Storage"))
    alone = Tensor(Numbers(bits[:1], "1", kind="BFloat16Storage"), (), ())
    same(read_tensors(write(tmp_path / "x", {"a": whole, "b": alone})),
         {"a": np.float32([1.0, -2.0, 0.25, np.inf]), "b": np.array(1.0, np.float32)})


def test_either_order_of_bytes(tmp_path):
    for order in "<>":
        same(read_tensors(write_zip(tmp_path / "x", state_dict(a=KERNEL), order=order)), {"a": KERNEL})


def test_files_older_than_the_note_of_their_byte_order_are_little(tmp_path):
    same(read_tensors(write_zip(tmp_path / "x", state_dict(a=KERNEL), without=("byteorder",))), {"a": KERNEL})


@FORMATS
def test_parameters_and_shared_storages(tmp_path, write):
    shared = Numbers(np.arange(6, dtype=np.float32))
    tied = {"a": Parameter(Tensor(shared, (2, 3), (3, 1))), "b": Tensor(shared, (3, 2), (1, 3)),
            "c": Tensor(shared, (2,), (1,), offset=4)}
    same(read_tensors(write(tmp_path / "x", tied)),
         {"a": np.float32([[0, 1, 2], [3, 4, 5]]), "b": np.float32([[0, 3], [1, 4], [2, 5]]), "c": np.float32([4, 5])})


def test_the_prefix_of_data_parallel_training_is_removed(tmp_path):
    path = write_zip(tmp_path / "x", state_dict(**{"module.a.weight": KERNEL, "module.module.b": KERNEL}))
    assert list(read_tensors(path)) == ["a.weight", "module.b"]
    path = write_zip(tmp_path / "x", state_dict(**{"module.a": KERNEL, "a": KERNEL}))
    with pytest.raises(UserError, match="tensor a: the name is there twice"):
        read_tensors(path)


@FORMATS
def test_what_else_a_checkpoint_carries_does_not_matter(tmp_path, write):
    history = Instance("mmengine.logging.history_buffer", "HistoryBuffer", state={"_log_history": Instance(
        "numpy.core.multiarray", "scalar", Instance("numpy", "dtype", "f8", state=(3, "<")), b"12345678")})
    carried = {"meta": {"cfg": Instance("mmengine.config.config", "ConfigDict", state={"a": 1}), "epoch": 3,
                        "time": history}, "message_hub": {"log_scalars": [history], ("a", 1): {1, 2}},
               "optimizer": {"state": {0: {"momentum_buffer": tensor(KERNEL, "m")}}},
               "state_dict": state_dict(a=KERNEL)}
    same(read_tensors(write(tmp_path / "x", carried)), {"a": KERNEL})


@FORMATS
@hypothesis.given(data=strategies.data())
def test_any_view_of_an_array(place, write, data):
    """Slices and transpositions, as NumPy has them."""
    shape = data.draw(strategies.lists(strategies.integers(1, 5), max_size=4), label="shape")
    whole = np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
    slices = tuple(slice(data.draw(strategies.integers(0, extent)), None, data.draw(strategies.integers(1, 3)))
                   for extent in shape)
    view = whole[slices].transpose(data.draw(strategies.permutations(range(len(shape)))))
    offset = sum(part.start * stride // 4 for part, stride in zip(slices, whole.strides)) if view.size else 0
    strides = tuple(stride // 4 for stride in view.strides)
    same(read_tensors(write(place, {"a": Tensor(Numbers(whole.ravel()), view.shape, strides, offset)})),
         {"a": np.array(view)})


@hypothesis.given(strategies.lists(strategies.tuples(strategies.integers(-1, 4), strategies.integers(-1, 5)),
                                   max_size=3), strategies.integers(-1, 8), strategies.integers(0, 7))
def test_a_tensor_is_within_its_storage_or_refused(place, axes, offset, elements):
    shape, strides = (tuple(part) for part in zip(*axes)) if axes else ((), ())
    places = [offset + sum(step * stride for step, stride in zip(steps, strides))
              for steps in itertools.product(*(range(extent) for extent in shape))]
    storage = np.arange(elements, dtype=np.float32)
    path = write_zip(place, {"fine": tensor(KERNEL, "k"), "a": Tensor(Numbers(storage), shape, strides, offset)})
    legal = min((offset, *shape, *strides)) >= 0 and len(places) <= elements and offset <= elements \
        and all(0 <= index < elements for index in places)
    if legal:
        np.testing.assert_array_equal(read_tensors(path)["a"].ravel(), storage[places])
    else:
        with pytest.raises(UserError, match="tensor a: "):
            read_tensors(path)


# What is refused --------------------------------------------------------------------------------------------------


def refuses(path, *parts):
    """Reading is refused; the text names the file and says each of `parts`."""
    with pytest.raises(UserError) as caught:
        read_tensors(path)
    for part in (str(path), *parts):
        assert part in caught.value.found


@FORMATS
def test_nothing_runs(tmp_path, write):
    marker = tmp_path / "marker"

    class Harm:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    fine = state_dict(a=KERNEL)
    same(read_tensors(write(tmp_path / "x", {"meta": Harm(), "state_dict": fine})), {"a": KERNEL})
    refuses(write(tmp_path / "x", {**fine, "b": Harm()}), "tensor b: not a dense tensor")
    refuses(write(tmp_path / "x", Harm()), "no state dict")
    refuses(write(tmp_path / "x", {"state_dict": Harm()}), "no state dict")
    assert not marker.exists()


def test_the_reader_is_not_the_standard_library_s(monkeypatch, tmp_path):
    path = write_zip(tmp_path / "x", state_dict(a=KERNEL))
    for name in ("Unpickler", "load", "loads", "_Unpickler", "_loads"):
        monkeypatch.setattr(pickle, name, None)
    same(read_tensors(path), {"a": KERNEL})


@pytest.mark.parametrize("content", [{}, [], 5, None, {"a": 1}, {"state_dict": {}}, {"state_dict": 3},
                                     {"model": state_dict(a=KERNEL)}, [tensor(KERNEL)], tensor(KERNEL),
                                     Instance("mine", "Model")], ids=repr)
@FORMATS
def test_no_state_dict(tmp_path, write, content):
    refuses(write(tmp_path / "x", content), "no state dict")


@FORMATS
def test_names_that_are_no_text(tmp_path, write):
    refuses(write(tmp_path / "x", {**state_dict(a=KERNEL), 3: tensor(KERNEL, "b")}), "1 names that are no text")


@pytest.mark.parametrize("odd", [
    Instance("torch._utils", "_rebuild_sparse_tensor", 1, 2), Instance("torch._utils", "_rebuild_tensor_v2"),
    Instance("torch._utils", "_rebuild_tensor_v2", 1, 0, (1,), (1,)), Instance("torch._utils", "_rebuild_parameter", 1),
    Instance("torch._utils", "_rebuild_tensor_v2", Numbers(KERNEL), 0, 1, 1), 3, None, "text"], ids=repr)
def test_what_is_no_dense_tensor(tmp_path, odd):
    refuses(write_zip(tmp_path / "x", {**state_dict(a=KERNEL), "b": odd}), "tensor b: not a dense tensor")


@pytest.mark.parametrize("shape, strides, offset", [
    ((2, 13), (12, 1), 0), ((24,), (1,), 1), ((2,), (24,), 0), ((1,), (1,), 24), ((0,), (1,), 25),
    ((2 ** 62, 2 ** 62), (0, 0), 0), ((25,), (0,), 0), ((2,), (2 ** 63,), 0)])
@FORMATS
def test_a_tensor_outside_its_storage(tmp_path, write, shape, strides, offset):
    odd = Tensor(Numbers(KERNEL.ravel()), shape, strides, offset)
    refuses(write(tmp_path / "x", {"b": odd}), "tensor b: ", "outside its storage of 24 numbers")


@pytest.mark.parametrize("shape, strides, offset", [
    ((-1,), (1,), 0), ((2,), (-1,), 1), ((2,), (1,), -1), ((2, 2), (1,), 0), (("a",), (1,), 0), ((2,), (1.0,), 0),
    ((2,), (1,), None)])
def test_shapes_that_are_none(tmp_path, shape, strides, offset):
    odd = Tensor(Numbers(KERNEL.ravel()), shape, strides, offset)
    refuses(write_zip(tmp_path / "x", {"b": odd}), "tensor b: its shape and strides are no numbers")


def test_more_axes_than_arrays_have(tmp_path):
    odd = Tensor(Numbers(KERNEL.ravel()), (1,) * 33, (1,) * 33)
    refuses(write_zip(tmp_path / "x", {"b": odd}), "tensor b: it has 33 axes")


@pytest.mark.parametrize("elements", [25, 2 ** 40, -1])
def test_a_storage_larger_than_its_entry(tmp_path, elements):
    odd = Tensor(Numbers(KERNEL.ravel(), elements=elements))
    refuses(write_zip(tmp_path / "x", {"b": odd}), "tensor b: its storage 0 should hold", "the file has 96 bytes")


def test_a_storage_that_is_not_there(tmp_path):
    path = write_zip(tmp_path / "x", state_dict(a=KERNEL, b=KERNEL), without=("data/1",))
    refuses(path, "tensor b: its storage 1 is not in the file")


@FORMATS
def test_an_unknown_type(tmp_path, write):
    odd = Tensor(Numbers(KERNEL.ravel(), "k", kind="OddStorage"))
    refuses(write(tmp_path / "x", {"b": odd}), "unknown storage type OddStorage")


def test_a_type_of_another_module(tmp_path):
    data, _ = pickled(state_dict(a=KERNEL))
    path = write_zip(tmp_path / "x", state_dict(a=KERNEL), data=data.replace(b"ctorch\nFl", b"cmorph\nFl"))
    refuses(path, "tensor a: unknown storage type", "morph")


def test_a_storage_that_is_a_part_of_another(tmp_path):
    data, _ = pickled(state_dict(a=KERNEL), (("view", 0, 4),))
    refuses(write_stream(tmp_path / "x", state_dict(a=KERNEL), data=data), "unknown storage type")


def test_many_tensors_of_one_storage_do_not_fill_the_memory(tmp_path):
    numbers = Numbers(KERNEL.ravel())
    refuses(write_zip(tmp_path / "x", {f"a{index}": Tensor(numbers) for index in range(9)}),
            "tensor a8: the tensors are far larger than the storages they share")


def test_a_compressed_archive(tmp_path):
    """It may unfold to any size; torch.save never writes one."""
    path = write_zip(tmp_path / "x", state_dict(a=np.zeros(10 ** 6, np.float32)), compression=zipfile.ZIP_DEFLATED)
    refuses(path, "a compressed ZIP archive")


def test_an_entry_that_claims_more_than_the_file(tmp_path):
    path = write_zip(tmp_path / "x", state_dict(a=KERNEL))
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("archive/data/0").file_size
    with open(path, "rb") as stream:
        data = stream.read()
    at = data.rindex(b"archive/data/0") - 46
    assert struct.unpack("<II", data[at + 20:at + 28]) == (size, size)
    with open(path, "wb") as stream:
        stream.write(data[:at + 20] + struct.pack("<II", 2 ** 31, 2 ** 31) + data[at + 28:])
    refuses(path, "larger than the file")


@FORMATS
@hypothesis.given(data=strategies.data())
def test_a_file_cut_short(place, write, data):
    path = write(place, {"state_dict": state_dict(a=KERNEL)})
    os.truncate(path, data.draw(strategies.integers(0, os.path.getsize(path) - 1)))
    refuses(path)


@FORMATS
@hypothesis.given(data=strategies.data())
def test_a_changed_byte_is_never_another_error(place, write, data):
    path = write(place, {"state_dict": state_dict(a=KERNEL, b=KERNEL)})
    with open(path, "r+b") as stream:
        stream.seek(data.draw(strategies.integers(0, os.path.getsize(path) - 1)))
        stream.write(bytes([data.draw(strategies.integers(0, 255))]))
    try:
        read_tensors(path)
    except UserError as error:
        assert path in error.found


def test_a_changed_number_is_found_by_its_checksum(tmp_path):
    path = write_zip(tmp_path / "x", state_dict(a=KERNEL))
    with open(path, "rb") as stream:
        data = stream.read()
    with open(path, "wb") as stream:
        stream.write(data.replace(struct.pack("<f", 7.0), struct.pack("<f", 8.0)))
    refuses(path, "Bad CRC-32")


@pytest.mark.parametrize("missing", [1, 8, 96, 104])
def test_an_older_file_without_its_last_numbers(tmp_path, missing):
    refuses(write_stream(tmp_path / "x", state_dict(a=KERNEL), missing=missing), "a storage ends with the file")


@pytest.mark.parametrize("count", [-1, 25, 2 ** 62])
def test_an_older_file_whose_storage_claims_another_length(tmp_path, count):
    path = write_stream(tmp_path / "x", state_dict(a=KERNEL))
    with open(path, "rb") as stream:
        data = stream.read()
    assert data.count(struct.pack("<q", 24)) == 1
    with open(path, "wb") as stream:
        stream.write(data.replace(struct.pack("<q", 24), struct.pack("<q", count)))
    refuses(path, "a storage ends with the file")


@pytest.mark.parametrize("keys", [3, ["0", 1], [["0"]]], ids=repr)
def test_an_older_file_without_the_names_of_its_storages(tmp_path, keys):
    path = write_stream(tmp_path / "x", state_dict(a=KERNEL))
    with open(path, "rb") as stream:
        data = stream.read()
    with open(path, "wb") as stream:
        stream.write(data.replace(pickle.dumps(["0"], 2), pickle.dumps(keys, 2)))
    refuses(path, "no list of storages")


@pytest.mark.parametrize("system", [{"little_endian": False}, {}, [1]], ids=repr)
def test_an_older_file_of_an_unknown_machine(tmp_path, system):
    refuses(write_stream(tmp_path / "x", state_dict(a=KERNEL), system=system or {"a": 1}), "a variant")


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"PK\x05\x06" + bytes(18),
                                  pickle.dumps({"state_dict": {}})], ids=repr)
def test_what_is_no_checkpoint(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    refuses(str(tmp_path / "x"))


def test_another_zip_archive(tmp_path):
    refuses(write_zip(tmp_path / "x", {}, root="a/b"), "a ZIP archive that torch.save has not written")
    refuses(write_zip(tmp_path / "x", {}, without=("data.pkl",)), "a ZIP archive that torch.save has not written")


def test_no_file(tmp_path):
    refuses(str(tmp_path / "none.pth"), "No such file")
    refuses(str(tmp_path), "Is a directory")


def test_the_helper_writes_what_the_standard_library_reads():
    """The fakes pickle as PyTorch's own names."""
    data, storages = pickled({"a": tensor(KERNEL)})
    call = read_pickle(io.BytesIO(data))["a"]
    assert call.function == ("torch._utils", "_rebuild_tensor_v2")
    assert call.arguments[0].identity == ("storage", ("torch", "FloatStorage"), "0", "cpu", 24)
    assert call.arguments[1:4] == (0, (2, 3, 4), (12, 4, 1))
    np.testing.assert_array_equal(storages["0"].values, KERNEL.ravel())


# PyTorch itself ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
def test_files_that_pytorch_writes(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimiser = torch.optim.SGD(layers.parameters(), 0.1, momentum=0.9)
    layers(torch.ones(2, 3, 5, 5)).sum().backward()
    optimiser.step()
    odd = {"half": torch.arange(3).half(), "bfloat16": torch.tensor([1.5, -2.0]).bfloat16(),
           "view": torch.arange(24.0).reshape(2, 3, 4)[:, 1:].transpose(0, 2), "scalar": torch.tensor(3),
           "mask": torch.tensor([True, False]), "empty": torch.zeros(0, 3)}
    expected = {**layers.state_dict(), **odd}
    torch.save({"state_dict": expected, "optimizer": optimiser.state_dict(), "meta": {"epoch": 1}},
               str(tmp_path / "x"), _use_new_zipfile_serialization=zipped)
    found = read_tensors(str(tmp_path / "x"))
    same(found, {name: (value.float() if name == "bfloat16" else value).detach().numpy()
                 for name, value in expected.items()})
