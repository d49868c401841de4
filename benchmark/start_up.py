"""Where the time goes until a run has done its first training step, and has saved it: each phase of `main.py`.

    python benchmark/start_up.py --runs 5
    python benchmark/start_up.py --runs 5 -- --recipe stare-fcn-dice --use_amp

What stands behind "--" goes to main.py; without it that trains UNet on the synthetic ssTEM set. Every run is a new
process and a new directory, of one step. Some come before that are not counted: one, which finds the files on the disk
and measures, where this processor has not yet, how the gradients of kernels are computed, and more of them as long as
some of that is left. Printed are the medians over the runs, by the clock and in seconds of all cores. A machine that
others use, too, shows it where the first is far above the second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from typing import Any, Callable, Iterator, List, Mapping, Optional, Sequence, Tuple
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from utils.commands import exit_code  # noqa: E402
from utils.errors import UserError  # noqa: E402

PHASES = ("imports", "settings and data", "graph", "session", "first step", "first save")
FIRST_STEP = PHASES.index("first step") + 1
Mark = Tuple[float, float]
"""Seconds by the clock, and of all cores, since a process began."""


def differences(marks: Sequence[Mark]) -> List[Mark]:
    """What each phase took, from the marks at their ends."""
    before = [(0.0, 0.0), *marks[:-1]]
    return [(mark[0] - last[0], mark[1] - last[1]) for mark, last in zip(marks, before)]


def table(runs: Sequence[Sequence[Mark]]) -> List[str]:
    """Lines: for each phase, for all until the first step is done and for all, the medians over the runs."""
    phases = [differences(marks) for marks in runs]
    rows = [(name, [phase[place] for phase in phases]) for place, name in enumerate(PHASES)]
    rows += [("until the first step is done", [marks[FIRST_STEP - 1] for marks in runs]),
             ("until it is saved", [marks[-1] for marks in runs])]
    return ["| phase | s | shortest - longest | s of all cores |", "|---|---|---|---|", *(_row(*row) for row in rows)]


def _row(name: str, seconds: Sequence[Mark]) -> str:
    clock, cores = ([one[kind] for one in seconds] for kind in (0, 1))
    return (f"| {name} | {statistics.median(clock):.2f} | {min(clock):.2f} - {max(clock):.2f} | "
            f"{statistics.median(cores):.2f} |")


def measured(arguments: Sequence[str]) -> Tuple[List[Mark], str]:
    """The marks at the ends of the phases of one run, and its standard error.

    Raises:
        UserError: it failed, or did not come to its first save.
    """
    from benchmark.kit.processes import finished

    with tempfile.TemporaryDirectory(prefix="unet-start-up-") as directory:
        told = os.path.join(directory, "marks.json")
        ended = finished([sys.executable, os.path.abspath(__file__), "--marks", told, str(time.time()), "--",
                          *arguments, "--model_dir", os.path.join(directory, "run")])
        with open(told, encoding="utf-8") as stream:
            return [(clock, cores) for clock, cores in json.load(stream)], ended.errors


def run_marked(begun: float, arguments: Sequence[str]) -> List[Mark]:
    """The marks, as in `measured`, of a command line of main.py carried out in this process, which began at `begun`."""
    marks: List[Mark] = []

    def mark(*_: Any) -> None:
        marks.append((time.time() - begun, time.process_time()))

    import main
    from utils.garbage import made_to_stay
    from utils.onednn import ask_for_onednn

    ask_for_onednn()
    with made_to_stay():
        from runtime.modes import train
    mark()
    with _marking(train, mark):
        code = main.main(arguments)
    if code or len(marks) < len(PHASES):
        raise UserError(f"exit code {code}, {len(marks)} of {len(PHASES)} phases",
                        "a training that comes to its first save", "mend what stands behind --")
    return marks[:len(PHASES)]


@contextlib.contextmanager
def _marking(train: Any, mark: Callable[..., None]) -> Iterator[None]:
    """Training marks the ends of the phases that it is part of."""
    import tensorflow.compat.v1 as tf

    class Steps(tf.train.SessionRunHook):
        """Marks the beginning and the end of the first step."""

        begun = done = False

        def before_run(self, run_context: Any) -> None:
            if not self.begun:
                self.begun = True
                mark()

        def after_run(self, run_context: Any, run_values: Any) -> None:
            if not self.done:
                self.done = True
                mark()

    training_fn, write_checkpoint = train.training_fn, train.write_checkpoint

    def marked_fn(run: Any, make_hooks: Callable[..., List[Any]], *further: Any) -> Callable[..., Any]:
        model_fn = training_fn(run, lambda report: [Steps(), *make_hooks(report)], *further)

        def marked(features: Mapping[str, Any], mode: str) -> Any:
            spec = model_fn(features=features, mode=mode)
            mark()
            return spec

        mark()
        return marked

    def marked_write(*details: Any) -> Any:
        checkpoint = write_checkpoint(*details)
        mark()
        return checkpoint

    with mock.patch.object(train, "training_fn", marked_fn), mock.patch.object(train, "write_checkpoint", marked_write):
        yield


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--marks", nargs=2, metavar=("FILE", "BEGUN"), help=argparse.SUPPRESS)
    parser.add_argument("further", nargs="*", help="for main.py, behind --")
    flags = parser.parse_args(arguments)
    if flags.marks:
        return exit_code(lambda: _keep(flags), debug=False)
    from benchmark.kit.results import command

    return command(lambda: _measure(flags))


def _keep(flags: argparse.Namespace) -> None:
    """Carry out one run in this process, and leave its marks for the one that asked."""
    path, begun = flags.marks
    marks = run_marked(float(begun), flags.further)
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(marks, stream)


def _measure(flags: argparse.Namespace) -> None:
    from benchmark.kit.machine import machine
    from benchmark.kit.results import described, load, require_positive
    from benchmark.kit.runs import repeat_until_settled

    require_positive(runs=flags.runs)
    command = ["--exec_mode", "train", "--data_dir", "phantom", "--max_steps", "1", *flags.further]
    busy = load()
    repeat_until_settled(lambda: measured(command)[1])
    runs = [measured(command)[0] for _ in range(flags.runs)]
    print(f"main.py {' '.join(command)}\n{described(machine({}))}; {flags.runs} runs; load before {busy:.1f}\n")
    print("\n".join(table(runs)))


if __name__ == "__main__":
    sys.exit(main())
