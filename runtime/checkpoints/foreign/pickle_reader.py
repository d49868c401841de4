"""What a pickle holds, without running any of it.

The stream is taken apart by the standard library (`pickletools`); no function or class that it names is looked up or
called. Dicts, lists, tuples, texts and numbers become themselves, everything else an inert record.
"""

from __future__ import annotations

import pickletools
from typing import Any, BinaryIO, Callable, Dict, List, NamedTuple, Tuple


class Name(NamedTuple):
    """A function or class that the pickle names."""

    module: str
    name: str


class Call(NamedTuple):
    """A call that loading the pickle would have made; what it would have been filled with afterwards is left out."""

    function: Any
    arguments: Tuple[Any, ...]


class Persistent(NamedTuple):
    """A reference to what lies outside the pickle."""

    identity: Any


class Opaque:
    """Anything whose content does not matter here; no two are equal."""


ORDERED_DICT = Name("collections", "OrderedDict")
_SCALARS = (str, bytes, int, float, type(None))


def read_pickle(stream: BinaryIO) -> Any:
    """Read one pickle; the stream then stands behind it.

    Returns:
        Dicts (`OrderedDict` as well), lists, tuples, texts, bytes, numbers and None as such; names, calls and
        persistent references as `Name`, `Call` and `Persistent`; the rest `Opaque`, such keys of dicts included.

    Raises:
        ValueError: the stream is no pickle, or cut short.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            machine.step(opcode.name, argument)
        return machine.result()
    except (LookupError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise ValueError(f"not a pickle ({error})") from error


class _Machine:
    """The pickle machine: a stack of values, marks in it, and a memo."""

    def __init__(self) -> None:
        self._stack: List[Any] = []
        self._marks: List[int] = []
        self._memo: Dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Do what one operation says."""
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            self._stack.append(argument)
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        elif name not in _IDLE:
            raise ValueError(f"unknown operation {name}")

    def result(self) -> Any:
        """The one value that is left."""
        if len(self._stack) != 1:
            raise ValueError("not a pickle (it does not leave one value)")
        return self._stack[0]

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def pop(self, count: int = 1) -> List[Any]:
        """Take the topmost `count` values, the deepest first."""
        start = len(self._stack) - count
        if start < (self._marks[-1] if self._marks else 0):
            raise ValueError("not a pickle (it takes more values than there are)")
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    def pop_to_mark(self) -> List[Any]:
        """Take all values above the last mark."""
        start = self._marks.pop()
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    @property
    def top(self) -> Any:
        """The topmost value."""
        return self._stack[-1]

    def mark(self) -> None:
        """Remember the height of the stack."""
        self._marks.append(len(self._stack))

    def drop(self) -> None:
        """Take the topmost value, or the mark that is there instead."""
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self.pop()

    def remember(self, place: int) -> None:
        """Put the topmost value into the memo."""
        self._memo[place] = self.top

    def memoize(self) -> None:
        """Put the topmost value into the memo's next place."""
        self.remember(len(self._memo))

    def recall(self, place: int) -> None:
        """Put a value of the memo on the stack."""
        self.push(self._memo[place])

    def extend(self, items: List[Any]) -> None:
        """Append `items` to the topmost value where that is a list."""
        if isinstance(self.top, list):
            self.top.extend(items)

    def update(self, items: List[Any]) -> None:
        """Set `items`, keys and values in turn, in the topmost value where that is a dict."""
        if isinstance(self.top, dict):
            self.top.update(_pairs(items))

    def call(self, function: Any, arguments: Any) -> None:
        """Put down the call that loading would make."""
        self.push(_called(function, arguments if isinstance(arguments, tuple) else ()))


def _called(function: Any, arguments: Tuple[Any, ...]) -> Any:
    if function != ORDERED_DICT:
        return Call(function, arguments)
    # Python 2 hands the items over in the call, Python 3 sets them afterwards.
    pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
    return _pairs([part for pair in pairs for part in pair])


def _pairs(items: List[Any]) -> Dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("not a pickle (a key without a value)")
    return {_key(key): value for key, value in zip(items[::2], items[1::2])}


def _key(key: Any) -> Any:
    # A nested tuple could make the hash of a key take for ever, and its text is of no use.
    return key if isinstance(key, _SCALARS) else Opaque()


def _instance(machine: _Machine, argument: str) -> None:
    machine.call(_name(argument), tuple(machine.pop_to_mark()))


def _object(machine: _Machine, _: Any) -> None:
    function, *arguments = machine.pop_to_mark()
    machine.call(function, tuple(arguments))


def _frozen_set(machine: _Machine, _: Any) -> None:
    machine.pop_to_mark()
    machine.push(Opaque())


def _new_with_keywords(machine: _Machine, _: Any) -> None:
    function, arguments, _keywords = machine.pop(3)
    machine.call(function, arguments)


def _stack_name(machine: _Machine, _: Any) -> None:
    module, name = machine.pop(2)
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("not a pickle (a name that is no text)")
    machine.push(Name(module, name))


def _name(argument: str) -> Name:
    module, _, name = argument.partition(" ")
    return Name(module, name)


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"))
_IDLE = frozenset(("PROTO", "FRAME", "STOP", "READONLY_BUFFER"))
_ACTIONS: Dict[str, Callable[[_Machine, Any], Any]] = {
    "MARK": lambda machine, _: machine.mark(),
    "POP": lambda machine, _: machine.drop(),
    "POP_MARK": lambda machine, _: machine.pop_to_mark(),
    "DUP": lambda machine, _: machine.push(machine.top),
    "PUT": lambda machine, place: machine.remember(place),
    "BINPUT": lambda machine, place: machine.remember(place),
    "LONG_BINPUT": lambda machine, place: machine.remember(place),
    "MEMOIZE": lambda machine, _: machine.memoize(),
    "GET": lambda machine, place: machine.recall(place),
    "BINGET": lambda machine, place: machine.recall(place),
    "LONG_BINGET": lambda machine, place: machine.recall(place),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "LIST": lambda machine, _: machine.push(machine.pop_to_mark()),
    "APPEND": lambda machine, _: machine.extend(machine.pop()),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.pop(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.pop(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.pop(3))),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "DICT": lambda machine, _: machine.push(_pairs(machine.pop_to_mark())),
    "SETITEM": lambda machine, _: machine.update(machine.pop(2)),
    "SETITEMS": lambda machine, _: machine.update(machine.pop_to_mark()),
    # Nothing here needs what a set holds.
    "EMPTY_SET": lambda machine, _: machine.push(Opaque()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.pop_to_mark()),
    "FROZENSET": _frozen_set,
    "GLOBAL": lambda machine, argument: machine.push(_name(argument)),
    "STACK_GLOBAL": _stack_name,
    "EXT1": lambda machine, _: machine.push(Opaque()),
    "EXT2": lambda machine, _: machine.push(Opaque()),
    "EXT4": lambda machine, _: machine.push(Opaque()),
    "REDUCE": lambda machine, _: machine.call(*machine.pop(2)),
    "NEWOBJ": lambda machine, _: machine.call(*machine.pop(2)),
    "NEWOBJ_EX": _new_with_keywords,
    "INST": _instance,
    "OBJ": _object,
    # The state of an object, and the attributes of a dict (a state dict carries "_metadata").
    "BUILD": lambda machine, _: machine.drop(),
    "PERSID": lambda machine, identity: machine.push(Persistent(identity)),
    "BINPERSID": lambda machine, _: machine.push(Persistent(*machine.pop())),
}
