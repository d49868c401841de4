"""The reader of pickles against the standard library's, and against pickles that mean harm."""

from __future__ import annotations

import collections
import contextlib
import io
import os
import pickle
import struct

import hypothesis
import pytest
from hypothesis import strategies

from runtime.checkpoints.foreign.pickle_reader import Call, Name, Opaque, Persistent, read_pickle

SCALARS = strategies.one_of(strategies.none(), strategies.booleans(), strategies.integers(), strategies.text(),
                            strategies.floats(allow_nan=False))
VALUES = strategies.recursive(SCALARS, lambda inner: strategies.one_of(
    strategies.lists(inner), strategies.dictionaries(SCALARS, inner), strategies.lists(inner).map(tuple),
    strategies.dictionaries(SCALARS, inner).map(collections.OrderedDict)), max_leaves=20)
PROTOCOLS = strategies.integers(0, min(5, pickle.HIGHEST_PROTOCOL))


def read(data):
    return read_pickle(io.BytesIO(data))


class Made:
    """An object that pickles as a call with a state."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


@hypothesis.given(VALUES, PROTOCOLS)
def test_plain_values_are_read_as_the_standard_library_reads_them(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


@hypothesis.given(strategies.binary(), strategies.integers(3, pickle.HIGHEST_PROTOCOL))
def test_bytes(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


@hypothesis.given(VALUES, PROTOCOLS, strategies.data())
def test_a_pickle_cut_short_is_none(value, protocol, data):
    whole = pickle.dumps(value, protocol)
    with pytest.raises(ValueError):
        read(whole[:data.draw(strategies.integers(0, len(whole) - 1))])


@hypothesis.given(strategies.binary(max_size=200))
def test_any_bytes_are_a_pickle_or_a_value_error(data):
    with contextlib.suppress(ValueError):
        read(data)


@hypothesis.given(VALUES, PROTOCOLS, strategies.data())
def test_a_changed_byte_is_a_pickle_or_a_value_error(value, protocol, data):
    whole = bytearray(pickle.dumps({"a": value}, protocol))
    whole[data.draw(strategies.integers(0, len(whole) - 1))] = data.draw(strategies.integers(0, 255))
    with contextlib.suppress(ValueError):
        read(bytes(whole))


def test_shared_and_recursive_values_stay_so():
    shared = ["x"]
    own = [shared, shared]
    own.append(own)
    found = read(pickle.dumps(own, 2))
    assert found[0] is found[1]
    assert found[2] is found
    assert found[0] == ["x"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_called(tmp_path, protocol):
    marker = tmp_path / "marker"
    data = pickle.dumps({"a": 1, "b": Made(os.system, (f"touch {marker}",)), "c": 2}, protocol)
    found = read(data)
    assert (found["a"], found["c"]) == (1, 2)
    assert found["b"] == Call(Name(os.system.__module__, "system"), (f"touch {marker}",))
    pickle.loads(data)
    assert marker.exists(), "the pickle does harm where it is loaded"
    marker.unlink()
    read(data)
    assert not marker.exists()


@pytest.mark.parametrize("data", [
    b"(S'touch marker'\nios\nsystem\n.",            # INST
    b"(cos\nsystem\nS'touch marker'\no.",           # OBJ
    b"cos\nsystem\n(S'touch marker'\ntR.",          # REDUCE
    b"cos\nsystem\n(S'touch marker'\nt\x81.",       # NEWOBJ
    b"\x8c\x02os\x8c\x06system\x93\x8c\x0ctouch marker\x85R.",  # STACK_GLOBAL
    b"cos\nsystem\n(S'touch marker'\nt}\x92.",      # NEWOBJ_EX
])
def test_every_way_of_calling_is_but_a_record(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read(data) == Call(Name("os", "system"), ("touch marker",))
    assert not os.listdir(str(tmp_path))


def test_modules_that_a_pickle_names_are_not_imported():
    assert read(b"cno_such_module\nnothing\n.") == Name("no_such_module", "nothing")


def test_what_fills_an_object_is_left_out():
    filled = [collections.defaultdict(list, {"a": [1]}), {1, 2}, frozenset((3,)), collections.deque([1, 2]), 7]
    found = read(pickle.dumps(filled, 4))
    assert found[0] == Call(Name("collections", "defaultdict"), (Name("builtins", "list"),))
    assert isinstance(found[1], Opaque)
    assert isinstance(found[2], Opaque)
    assert found[3].function == Name("collections", "deque")
    assert found[4] == 7


def test_a_state_is_left_out():
    ordered = collections.OrderedDict(a=1)
    ordered._metadata = {"": {"version": 1}}
    assert read(pickle.dumps(ordered, 2)) == {"a": 1}


def test_the_items_of_an_ordered_dict_as_python_2_hands_them_over():
    assert read(b"ccollections\nOrderedDict\n((lp0\n(lp1\nS'a'\naI1\naatR.") == {"a": 1}


def test_a_persistent_reference():
    assert read(b"\x80\x02X\x01\x00\x00\x00aQ.") == Persistent("a")
    assert read(b"Pa\n.") == Persistent("a")


# Pickles that are small and ask for much --------------------------------------------------------------------------


def test_a_far_place_in_the_memo_takes_no_memory():
    assert read(b"Nr\xff\xff\xff\x7f.") is None


@pytest.mark.parametrize("code", [b"\x8d", b"\x8e"])
def test_a_length_beyond_the_stream(code):
    with pytest.raises(ValueError):
        read(code + struct.pack("<Q", 2 ** 62) + b"abc.")


def test_a_key_that_would_be_hashed_for_ever():
    doubled = b"N" + b"2\x86" * 200
    found = read(b"}" + doubled + b"Ns.")
    assert [type(key) for key in found] == [Opaque]


def test_a_deep_nest():
    assert read(b"N" + b"\x85" * 100000 + b".") is not None


@pytest.mark.parametrize("data, what", [
    (b"", "exhausted"), (b".", "one value"), (b"NN.", "one value"), (b"R.", "takes more"), (b"(R.", "takes more"),
    (b"t.", "pop from empty"), (b"h\x05.", "not a pickle"), (b"(S'a'\nd.", "without a value"),
    (b"\x97.", "NEXT_BUFFER|opcode"), (b"NI1\n\x93.", "no text")])
def test_what_is_no_pickle(data, what):
    with pytest.raises(ValueError, match=what):
        read(data)
