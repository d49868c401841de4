"""From another program's variables to ours, where every one must have its counterpart."""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from utils.errors import UserError

_NAMED = 3
"""How many names an error gives before it counts the rest."""


class Source(NamedTuple):
    """Where the value of one of our variables comes from: its name there, and how the value is turned into ours."""

    name: str
    convert: Callable[[np.ndarray], np.ndarray] = np.asarray


def match(tensors: Mapping[str, np.ndarray], wanted: Mapping[str, Tuple[int, ...]],
          find: Callable[[str], Optional[Source]], network: str) -> Dict[str, np.ndarray]:
    """Our variables from another program's.

    Args:
        tensors: its variables by name, without those that do not concern the network.
        wanted: the shapes of ours by name.
        find: the source of one of ours, or None where the other program has nothing like it.
        network: what the other program's network is called.

    Returns:
        float32 arrays by the names of `wanted`.

    Raises:
        UserError: a variable has no counterpart, is missing, is left over, has another shape, or holds no real numbers,
            or NaN or Inf.
    """
    sources: Dict[str, Source] = {}
    strange: List[str] = []
    for name in wanted:
        source = find(name)
        if source is None:
            strange.append(name)
        else:
            sources[name] = source
    needed = {source.name for source in sources.values()}
    _refuse(strange, f"variables that no {network} has", "a run of that network",
            "choose another --recipe, one of that network")
    _refuse([name for name in tensors if name not in needed], "tensors that the run's network has no place for",
            "those of its network alone", "choose another --recipe, one with the checkpoint's network and head")
    _refuse([source.name for source in sources.values() if source.name not in tensors], "missing tensors",
            f"all that the run's network has of a {network}",
            "choose another --recipe, one with the checkpoint's network and head")
    return _converted(tensors, wanted, sources)


def _converted(tensors: Mapping[str, np.ndarray], wanted: Mapping[str, Tuple[int, ...]],
               sources: Mapping[str, Source]) -> Dict[str, np.ndarray]:
    found, wrong, bad = {}, [], []
    for name, source in sources.items():
        tensor = tensors[source.name]
        value = source.convert(tensor)
        if value.dtype.kind != "f":
            wrong.append(f"{source.name} holds {value.dtype} numbers")
        elif value.shape != tuple(wanted[name]):
            wrong.append(f"{source.name} has shape {_text(value.shape)} instead of {_text(wanted[name])} ({name})")
        with np.errstate(over="ignore"):  # told below
            found[name] = np.array(value, np.float32, order="C")
        if not np.isfinite(found[name]).all():
            bad.append(source.name)
    _refuse(wrong, "tensors that do not fit", "the shapes of the run's network, floating point",
            "choose another --recipe, one with the checkpoint's classes, channels and width")
    # What a network computes of these may look sound: oneDNN's ReLU makes 0 of NaN.
    _refuse(bad, "tensors with NaN, Inf, or numbers too large for float32", "finite numbers in all tensors",
            "take an earlier checkpoint of that training, or a sound copy of this one")
    return found


def few(names: Sequence[str]) -> str:
    """The first of `names`, and how many more there are."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _refuse(names: Sequence[str], what: str, expected: str, repair: str) -> None:
    if names:
        raise UserError(f"{len(names)} {what}: {few(names)}", expected, repair)


def _text(shape: Tuple[int, ...]) -> str:
    return "x".join(str(extent) for extent in shape) or "scalar"
