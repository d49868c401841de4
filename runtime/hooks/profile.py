"""Traces steps, and tells which operations took longest."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

import tensorflow.compat.v1 as tf

SHOWN = 10
_LABEL = re.compile(r".* = (\w+)\(")
"""How an operation's record names its kind: "name = Kind(inputs)"."""
_ANNOTATION = re.compile(r"@@([^#]+)#")
"""How the record of a GPU's kernel names the operation that launched it: "... @@name:Kind#..."."""
_KERNELS = "/stream:all"
"""What a GPU's record ends in that has the times of its kernels; the one without has those of launching them."""


@dataclasses.dataclass
class Cost:
    """What all operations of one kind took.

    Attributes:
        seconds: their sum.
        count: how often one ran.
        nodes: seconds by the name of the node.
    """

    seconds: float = 0.0
    count: int = 0
    nodes: Dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def dearest(self) -> str:
        """The node that took longest."""
        return max(self.nodes, key=lambda name: self.nodes[name])


class ProfileHook(tf.train.ProfilerHook):
    """Writes a trace of a step in `every` for chrome://tracing, and adds up what its operations took.

    One hook may see several sessions of a training, one after the other: it counts through.

    Where a trace cannot be written that is told once, and the training goes on without further ones.

    Args:
        every: steps between two traces, and before the first.
        directory: where traces go, `timeline-<step>.json`.
        tell: shows a line to the user.

    Attributes:
        costs: of all traced steps, by kind of operation.
        steps: how many were traced.
    """

    def __init__(self, every: int, directory: str, tell: Callable[[str], None]) -> None:
        # Its writer is made once for each directory, which may have been moved aside since.
        os.makedirs(directory, exist_ok=True)
        super().__init__(save_steps=every, output_dir=directory)
        self._tell = tell
        self._failed = False
        self.costs: Dict[str, Cost] = {}
        self.steps = 0

    def after_create_session(self, session: tf.Session, coord: Any) -> None:
        """Read where the training stands; the last trace may be of an earlier session."""
        step = int(session.run(tf.train.get_global_step(session.graph)))
        self._next_step = step + 1
        if self._timer.last_triggered_step() is None:
            self._timer.update_last_triggered_step(step)

    def before_run(self, run_context: Any) -> Any:
        """Ask for the trace of a step where one is due."""
        asked = super().before_run(run_context)
        if not self._failed:
            return asked
        self._request_summary = False
        return tf.train.SessionRunArgs(asked.fetches)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Write the trace, where the step was traced, and add its times up."""
        step = self._next_step
        try:
            super().after_run(run_context, run_values)
        except (OSError, RuntimeError, tf.errors.OpError) as error:
            # As for summaries, the writer may raise these long after the write.
            self._failed = True
            self._tell(f"warning: no more traces ({str(error).splitlines()[0]}); going on")
        self._next_step = step + 1  # what was fetched beside the step may be from before or after it
        stats = run_values.run_metadata.step_stats
        if stats.dev_stats:
            add_costs(stats, self.costs)
            self.steps += 1


class Profile:
    """The traces of a training, however many sessions that takes.

    Args:
        every: steps between two traces, and before the first.
        directory: where they go; None for no traces.
        tell: shows a line to the user.
    """

    def __init__(self, every: int, directory: Optional[str], tell: Callable[[str], None]) -> None:
        self._every = every
        self._directory = directory
        self._tell = tell
        self._hooks: List[ProfileHook] = []

    @property
    def wanted(self) -> bool:
        """Whether steps are traced."""
        return self._directory is not None

    def hooks(self) -> List[Any]:
        """The hooks of a session, to be asked for while its graph is built."""
        if self._directory is not None and not self._hooks:
            self._hooks = [ProfileHook(self._every, self._directory, self._tell)]
        return list(self._hooks)

    def lines(self) -> List[str]:
        """What has been found so far, as a table to read; none where nothing was traced."""
        return [line for hook in self._hooks if hook.steps for line in dearest(hook.costs, hook.steps)]


def add_costs(stats: Any, costs: Dict[str, Cost]) -> None:
    """Add the times of a traced step to `costs`, by kind of operation.

    Args:
        stats: the `StepStats` of its `RunMetadata`.
        costs: what is added to.
    """
    for name, kind, seconds in _operations(stats):
        cost = costs.setdefault(kind, Cost())
        cost.seconds += seconds
        cost.count += 1
        cost.nodes[name] = cost.nodes.get(name, 0.0) + seconds


def dearest(costs: Mapping[str, Cost], steps: int) -> List[str]:
    """The kinds that took longest as a table to read, per traced step; shares are those of the sum of all."""
    whole = sum(cost.seconds for cost in costs.values())
    ordered = sorted(costs.items(), key=lambda item: -item[1].seconds)[:SHOWN]
    lines = [f"the {len(ordered)} dearest of {len(costs)} kinds of operations, a step (traced: {steps}); all sum up to "
             f"{1000.0 * whole / steps:.1f} ms, but overlap",
             "        ms   share   count  operation, and the one that took longest"]
    lines += [f"{1000.0 * cost.seconds / steps:10.2f}  {cost.seconds / max(whole, 1e-12):6.1%}  {cost.count / steps:6g}"
              f"  {kind}: {cost.dearest}" for kind, cost in ordered]
    return lines


def _operations(stats: Any) -> Iterator[Tuple[str, str, float]]:
    """Name, kind and seconds of each operation that ran; on a GPU of its kernels, not of launching them."""
    kernels = any(device.device.endswith(_KERNELS) for device in stats.dev_stats)
    for device in stats.dev_stats:
        if device.device.endswith(_KERNELS):
            read = _kernel
        elif "stream:" in device.device or "memcpy" in device.device or (kernels and "GPU" in device.device.upper()):
            continue
        else:
            read = _operation
        for node in device.node_stats:
            yield (*read(node), node.all_end_rel_micros / 1e6)


def _operation(node: Any) -> Tuple[str, str]:
    found = _LABEL.match(node.timeline_label)
    return node.node_name, found.group(1) if found else "unknown"


def _kernel(node: Any) -> Tuple[str, str]:
    found = _ANNOTATION.search(node.timeline_label)
    name, _, kind = (found.group(1) if found else node.node_name).partition(":")
    return name, kind or "unknown"
