"""What Horovod's timeline (`HOROVOD_TIMELINE`) tells about the time that ranks spend on each other."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from utils.errors import UserError

Interval = Tuple[float, float]
_ALLREDUCE, _NEGOTIATE = "ALLREDUCE", "NEGOTIATE_ALLREDUCE"


class Shares(NamedTuple):
    """Of the time of the steps that count; work that overlaps with it goes on meanwhile.

    Attributes:
        allreduce: in which an allreduce was under way.
        waiting: in which one was, or a rank had announced a tensor that the others had not yet computed.
    """

    allreduce: float
    waiting: float


def read_timeline(path: str) -> List[Mapping[str, Any]]:
    """The events in the file at `path`, which lacks its last bracket where a process was ended.

    Raises:
        UserError: it holds something else, or nothing.
        OSError: it cannot be read.
    """
    with open(path, encoding="utf-8") as stream:
        text = stream.read().strip().rstrip(",")
    try:
        events = json.loads(text if text.endswith("]") else text + "]")
    except ValueError as error:
        raise UserError(f"{path}: no timeline ({error})", "what Horovod writes for HOROVOD_TIMELINE",
                        "see that all ranks end well") from error
    return [event for event in events if event]


def shares(events: Sequence[Mapping[str, Any]], warmup_steps: int) -> Shares:
    """How the time of the steps behind the first ones was spent.

    A step ends with the last allreduce of those tensors that every step has once.

    Raises:
        UserError: there are no such steps.
    """
    reduced, negotiated = _intervals(events, _ALLREDUCE), _intervals(events, _NEGOTIATE)
    steps = max(map(len, reduced.values()), default=0)
    if steps <= warmup_steps or warmup_steps < 1:
        raise UserError(f"a timeline of {steps} steps, {warmup_steps} of which do not count",
                        "steps before those that count, and some that do", "give more --steps")
    ends = [max(own[step][1] for own in reduced.values() if len(own) == steps) for step in (warmup_steps - 1, -1)]
    window = (ends[0], ends[1])
    busy = [each for own in reduced.values() for each in own]
    return Shares(_covered(busy, window), _covered([*busy, *(each for own in negotiated.values() for each in own)],
                                                   window))


def _intervals(events: Sequence[Mapping[str, Any]], name: str) -> Dict[int, List[Interval]]:
    """Begin and end of every activity of a name, by tensor and in order, in microseconds."""
    found: Dict[int, List[Interval]] = {}
    open_ones: Dict[int, List[Tuple[str, float]]] = {}
    for event in events:
        stack = open_ones.setdefault(event.get("pid", -1), [])
        if event["ph"] == "B":
            stack.append((event["name"], event["ts"]))
        elif event["ph"] == "E" and stack:
            begun, start = stack.pop()
            if begun == name:
                found.setdefault(event["pid"], []).append((start, event["ts"]))
    return found


def _covered(intervals: Sequence[Interval], window: Interval) -> float:
    """The share of a window that lies in one or more of the intervals."""
    first, last = window
    total, reached = 0.0, first
    for start, end in sorted(intervals):
        total += max(min(end, last) - max(start, reached), 0.0)
        reached = max(reached, min(end, last))
    return total / (last - first)
