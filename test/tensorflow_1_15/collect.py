"""Writes `symbols.txt`, what TensorFlow 1.15 offers. Run it there, with Python 3.7 and tensorflow-cpu 1.15.0:

    python -m test.tensorflow_1_15.collect

A line for each public name below `tensorflow.compat.v1`, sorted, so that two lists can be compared:

    tf.pad(tensor, paddings, mode=..., name=..., constant_values=...)     a function, and what it takes
    tf.train.AdamOptimizer(learning_rate=...) < tf.train.Optimizer        a class, and the public classes above it
    tf.train.Optimizer.minimize(self, loss, global_step=...)              what a class has beyond those
    tf.train.Scaffold.saver                                               a property or a value
    tf.ConfigProto.gpu_options : tf.GPUOptions                            a value of a public class
    tf.dtypes.DType = tf.DType                                            a class that stands elsewhere
"""

from __future__ import annotations

import inspect
import platform
import sys
import types
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

LIST = Path(__file__).resolve().parent / "symbols.txt"
LEFT_OUT = ("app", "compat", "distributions", "feature_column", "flags", "gfile", "keras", "lite", "logging",
            "resource_loader", "tpu", "user_ops")
"""Modules that the project keeps away from; most are large, or mere copies."""
ANYTHING = "(*args, **kwargs)"
MESSAGE = "google.protobuf.message.Message"

Classes = Dict[type, str]


def collect() -> List[str]:
    """The lines of the list, for the TensorFlow that is installed."""
    import tensorflow.compat.v1 as tf
    from google.protobuf.message import Message

    symbols = {MESSAGE: Message, **dict(_symbols(tf, "tf", (tf,)))}
    classes = _canonical(symbols)
    lines: List[str] = []
    for name, value in symbols.items():
        lines += _class_lines(name, value, classes) if isinstance(value, type) else [_line(name, value, classes)]
    return sorted(lines)


def header() -> str:
    """What made the list."""
    import tensorflow

    return (f"# tensorflow.compat.v1 of TensorFlow {tensorflow.__version__} under Python {platform.python_version()},\n"
            "# made by `python -m test.tensorflow_1_15.collect`, which says what the lines mean. Do not edit.\n"
            f"# Left out: {', '.join(LEFT_OUT)}.\n")


def _symbols(module: Any, name: str, above: Tuple[Any, ...]) -> Iterator[Tuple[str, Any]]:
    """Every public value below a module, by its dotted name."""
    for part in _public(module):
        value, full = getattr(module, part), f"{name}.{part}"
        if not isinstance(value, types.ModuleType):
            yield full, value
            yield from _nested(value, full)
        elif "tensorflow" in value.__name__ and value not in above and not (name == "tf" and part in LEFT_OUT):
            yield from _symbols(value, full, (*above, value))


def _nested(value: Any, name: str) -> Iterator[Tuple[str, Any]]:
    """The messages defined within a message."""
    for part in _public(value) if hasattr(value, "DESCRIPTOR") else ():
        inner = getattr(value, part)
        if isinstance(inner, type) and hasattr(inner, "DESCRIPTOR") and not part.endswith("Entry"):
            yield f"{name}.{part}", inner
            yield from _nested(inner, f"{name}.{part}")


def _public(value: Any) -> List[str]:
    return sorted(name for name in dir(value) if not name.startswith("_"))


def _canonical(symbols: Dict[str, Any]) -> Classes:
    """The name that each class is listed by: the shortest."""
    named: Classes = {}
    for name in sorted(symbols, key=lambda name: (name.count("."), len(name), name)):
        if isinstance(symbols[name], type):
            named.setdefault(symbols[name], name)
    return named


def _class_lines(name: str, value: type, classes: Classes) -> Iterator[str]:
    if classes[value] != name:
        yield f"{name} = {classes[value]}"
        return
    if hasattr(value, "DESCRIPTOR") and name != MESSAGE:
        yield from _message_lines(name, value, classes)
        return
    bases = [base for base in value.__mro__[1:] if base in classes]
    yield f"{name}{_parameters(value)} < {', '.join([classes[base] for base in bases] or ['object'])}"
    for part in _public(value):
        member = inspect.getattr_static(value, part)
        if not any(inspect.getattr_static(base, part, None) is member for base in bases):
            yield _line(f"{name}.{part}", getattr(value, part), classes, member)


def _message_lines(name: str, value: Any, classes: Classes) -> Iterator[str]:
    fields = value.DESCRIPTOR.fields
    yield f"{name}({', '.join(['*', *(f'{field.name}=...' for field in fields)] if fields else [])}) < {MESSAGE}"
    yield from _field_lines(name, value, classes, ())


def _field_lines(name: str, value: Any, classes: Classes, above: Tuple[Any, ...]) -> Iterator[str]:
    """A message's numbers and fields; below a field that is a message of no public class come those of its own."""
    yield from (f"{name}.{number.name}" for kind in value.DESCRIPTOR.enum_types for number in kind.values)
    for field in value.DESCRIPTOR.fields:
        full = f"{name}.{field.name}"
        single = field.message_type is not None and field.label != field.LABEL_REPEATED
        kind = type(getattr(value(), field.name)) if single else None
        yield full + (f" : {classes.get(kind, MESSAGE)}" if single else "")
        if single and kind not in classes and kind not in above:
            yield from _field_lines(full, kind, classes, (*above, kind))


def _line(name: str, value: Any, classes: Classes, member: Any = None) -> str:
    if isinstance(value, property) or not callable(value):
        return name + (f" : {classes[type(value)]}" if type(value) in classes else "")
    plain = member is None or isinstance(member, (types.FunctionType, staticmethod, classmethod))
    # The installed protobuf decides how its methods are written.
    return name + (_parameters(value) if plain and not name.startswith(MESSAGE) else ANYTHING)


def _parameters(value: Any) -> str:
    """The parameters in brackets; every default is shown as `...`."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ANYTHING
    shown = [parameter.replace(annotation=parameter.empty, default=parameter.default
                               if parameter.default is parameter.empty else Ellipsis)
             for parameter in signature.parameters.values()]
    return str(inspect.Signature(shown)).replace("=Ellipsis", "=...")


def main() -> int:
    LIST.write_text(header() + "".join(f"{line}\n" for line in collect()), encoding="utf-8")
    print(f"{LIST}: {LIST.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
