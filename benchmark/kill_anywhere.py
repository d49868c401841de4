"""Kill training anywhere, resume, and compare with the run that was never killed.

`python benchmark/kill_anywhere.py --kills 1000 --workers 2` trains a tiny network, kills it (SIGKILL) at random
moments and at chosen ones, resumes it until it ends, and compares bytes: checkpoints, losses, evaluations. After every
kill the newest checkpoint that was ever complete must still be sound. Exits with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import multiprocessing
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from benchmark.killing.attempts import Case, run_attempt  # noqa: E402 (the path comes first)
from benchmark.killing.comparison import (  # noqa: E402
    cut_short,
    differing_files,
    differing_losses,
    differing_variables,
    inspect,
)
from benchmark.killing.subjects import prepare, subjects  # noqa: E402
from benchmark.killing.trap import BUDGET, EVALUATION, EVERY_RANK, MEASUREMENT, SAVE, Plan, attempt  # noqa: E402
from benchmark.kit import results  # noqa: E402
from benchmark.kit.machine import machine  # noqa: E402
from runtime.settings.saved import FILE_NAME as SETTINGS_FILE  # noqa: E402
from utils.commands import Stopped  # noqa: E402
from utils.files import read_json  # noqa: E402
from utils.onednn import ask_for_onednn  # noqa: E402

KILLS_PER_RUN = 10
COLUMNS = ("kind of kill", "kills", "resumed runs", "lost checkpoints", "differing bytes", "differing losses")
TIMED_SAVE_SECONDS = 0.06
"""About what a save takes that is slowed down."""
SCENARIOS: Dict[str, Tuple[str, ...]] = {
    "every step": ("--save_checkpoints_steps", "1", "--keep_checkpoint_max", "1"),
    "evaluating": ("--save_checkpoints_steps", "2", "--keep_checkpoint_max", "1", "--evaluate_every", "6"),
    "skipping spikes": ("--save_checkpoints_steps", "3", "--batch_size", "2", "--skip_loss_spikes"),
}
KINDS = ANY_TIME, AT_START, IN_SAVE, AT_CALL, IN_EVALUATION, IN_MEASUREMENT = (
    "any time", "around a call of the start-up", "during a save", "around a call of a save or evaluation",
    "during an evaluation", "before the steps of a budget are known")


class Setting(NamedTuple):
    """What a killed run is compared with.

    Attributes:
        case: what both run.
        data: where the data, the recipe and all runs lie.
        reference: the directory of the run that was never killed.
        seconds: what that took.
    """

    case: Case
    data: str
    reference: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a killed and resumed run went.

    Attributes:
        directory: where it lies.
        setting: what it was.
        kills: kinds of its kills, in their order.
        cut: for each of them, whether it left an unfinished save behind.
        lost: what was wrong right after a kill.
        bytes: how the files of its checkpoints and evaluations differ from those of the run never killed.
        losses: how its log differs.
        failures: attempts that ended otherwise than planned.
    """

    directory: str
    setting: Setting
    kills: List[str] = dataclasses.field(default_factory=list)
    cut: List[bool] = dataclasses.field(default_factory=list)
    lost: List[str] = dataclasses.field(default_factory=list)
    bytes: List[str] = dataclasses.field(default_factory=list)
    losses: List[str] = dataclasses.field(default_factory=list)
    failures: List[str] = dataclasses.field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong with it."""
        return not (self.lost or self.bytes or self.losses or self.failures)


def draw_plan(dice: random.Random, setting: Setting, begun: bool) -> Plan:
    """When to kill next, a run that has `begun` or not."""
    case, seconds = setting.case, setting.seconds
    evaluates, measures = "--evaluate_every" in case.flags, BUDGET in case.flags and not begun
    weights = {ANY_TIME: 4, AT_START: 2, IN_SAVE: 5, AT_CALL: 5, IN_EVALUATION: 6 if evaluates else 0,
               IN_MEASUREMENT: 16 if measures else 0}
    kind = dice.choices(list(weights), list(weights.values()))[0]
    nth, before = dice.randint(1, 3), dice.random() < 0.5
    victim = dice.choice([EVERY_RANK, *range(case.ranks)]) if case.ranks > 1 else 0
    if kind == AT_START:
        return Plan(kind, call=dice.randint(1, 14), before=before)
    if kind == AT_CALL:
        return Plan(kind, SAVE, nth, call=dice.randint(1, 24), before=before)
    if kind == IN_SAVE:
        return Plan(kind, SAVE, nth, dice.uniform(0.0, TIMED_SAVE_SECONDS), victim=victim)
    if kind == IN_EVALUATION:
        return Plan(kind, EVALUATION, 1, dice.uniform(0.0, 0.2 * seconds), victim=victim)
    if kind == IN_MEASUREMENT:
        return Plan(kind, MEASUREMENT, 1, dice.uniform(0.0, 0.3 * seconds), victim=victim)
    return Plan(kind, after=dice.uniform(0.0, seconds), victim=victim)


def killed_run(setting: Setting, dice: random.Random, kills: int) -> Outcome:
    """Train in a new directory, killed up to `kills` times and resumed until it ends, and compare."""
    directory = tempfile.mkdtemp(prefix="killed-", dir=setting.data)
    outcome = Outcome(directory, setting)
    complete, finished = 0, False
    while not finished and not outcome.failures:
        begun = os.path.exists(os.path.join(directory, SETTINGS_FILE))
        plan = draw_plan(dice, setting, begun) if len(outcome.kills) < kills else None
        ended = run_attempt(setting.case, directory, setting.data, plan)
        finished = ended.code == 0
        # One process dies of the signal itself; the launcher of several has a code of its own.
        died = ended.code == -signal.SIGKILL or (setting.case.ranks > 1 and ended.code not in (0, None))
        if "Traceback (most recent call last)" in ended.printed and "main.py\", line" in ended.printed:
            outcome.failures.append(f"{plan}: a traceback\n{ended.printed}")
        elif plan is not None and ended.struck and died:
            outcome.kills.append(plan.kind)
            outcome.cut.append(cut_short(directory))
        elif not finished:
            outcome.failures.append(f"{plan}: exit code {ended.code}\n{ended.printed}")
        complete, wrong = inspect(directory, complete)
        outcome.lost.extend(f"after {plan}: {what}" for what in wrong)
    if finished:
        outcome.bytes.extend(differing_files(directory, setting.reference))
        outcome.losses.extend(differing_losses(directory, setting.reference))
    if outcome.good:
        shutil.rmtree(directory)
    return outcome


def import_all(ranks: int) -> None:
    """Import what an attempt needs, and make nothing of it: no session, no thread of TensorFlow, so that forks work."""
    import tensorflow.compat.v1 as tf

    import main  # noqa: F401
    import runtime.modes.dispatch
    import runtime.settings.compose  # noqa: F401

    if ranks > 1:
        import horovod.tensorflow  # noqa: F401
    getattr(tf.estimator, "Estimator")  # noqa: B009 (Estimators are imported when they are first named)


def never_killed(case: Case, data: str) -> Tuple[str, float]:
    """Train without being killed: the directory, and the seconds that took.

    Raises:
        RuntimeError: even that fails.
    """
    directory = tempfile.mkdtemp(prefix="never-killed-", dir=data)
    ended = run_attempt(case, directory, data, None)
    if ended.code != 0:
        raise RuntimeError(f"the run that is never killed ended with {ended.code}:\n{ended.printed}")
    return directory, ended.seconds


def series(case: Case, never: Tuple[str, float], data: str, kills: int, seed: str) -> List[Outcome]:
    """Runs of one case, one after the other, until they were killed `kills` times together, or one went wrong.

    Args:
        case: what they are.
        never: what `never_killed` gave for it.
        data: where `prepare` wrote to.
        kills: how many.
        seed: of the moments.
    """
    dice = random.Random(seed)
    outcomes: List[Outcome] = []
    left = kills
    while left > 0 and all(outcome.good for outcome in outcomes):
        outcomes.append(killed_run(Setting(case, data, *never), dice, left))
        left -= len(outcomes[-1].kills)
    return outcomes


def campaign(options: argparse.Namespace, data: str, outcomes: List[Outcome]) -> None:
    """All runs that the command line asks for, over all scenarios in turn; what they give is added to `outcomes`."""
    kills, seed, scenarios = options.kills, options.seed, list(SCENARIOS.items())
    shares = [min(options.kills_per_run, kills - done) for done in range(0, kills, options.kills_per_run)]
    named = [scenarios[(number + seed) % len(scenarios)] for number in range(len(shares))]
    subject = subjects()[options.subject]
    budget = (BUDGET, "1") if options.train_minutes else ()
    cases = [Case(name, (*subject.flags, *budget, *flags, *(subject.validating if "--evaluate_every" in flags else ())),
                  options.ranks, options.horovodrun) for name, flags in named]
    fork = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(options.workers, mp_context=fork) as pool:
        different = dict.fromkeys(cases)
        never = dict(zip(different, pool.map(never_killed, different, [data] * len(different))))
        futures = [pool.submit(series, case, never[case], data, share, f"{seed} {number}")
                   for number, (case, share) in enumerate(zip(cases, shares))]
        _collect(futures, kills, outcomes)


def _collect(futures: Sequence[Any], kills: int, outcomes: List[Outcome]) -> None:
    """What the runs give, told as they end; a signal ends those that run, and leaves the rest out."""
    try:
        for future in concurrent.futures.as_completed(futures):
            outcomes.extend(future.result())
            done = sum(len(outcome.kills) for outcome in outcomes)
            bad = sum(not outcome.good for outcome in outcomes)
            print(f"{done} of {kills} kills, {bad} runs differ", file=sys.stderr, flush=True)
    except Stopped:
        for future in futures:
            future.cancel()
        # A worker that is interrupted takes what was handed out to it before.
        while any(future.running() for future in futures):
            for worker in multiprocessing.active_children():
                worker.terminate()
            time.sleep(0.5)
        raise


def table(outcomes: Sequence[Outcome]) -> str:
    """What happened, as a Markdown table; a run counts in the row of each kind of kill that it saw."""
    kinds = [kind for kind in KINDS if any(kind in outcome.kills for outcome in outcomes)]
    rows = [_row(kind, sum(outcome.kills.count(kind) for outcome in outcomes),
                 [outcome for outcome in outcomes if kind in outcome.kills]) for kind in kinds]
    rows.append(_row("all", sum(len(outcome.kills) for outcome in outcomes), outcomes))
    return "\n".join([*results.head(COLUMNS, len(COLUMNS)), *rows])


def _row(name: str, kills: int, outcomes: Sequence[Outcome]) -> str:
    counts = [kills, len(outcomes)] + [sum(bool(getattr(outcome, what)) for outcome in outcomes)
                                       for what in ("lost", "bytes", "losses")]
    return results.row([name, *map(str, counts)])


def complaints(outcome: Outcome) -> str:
    """What is wrong with a run, and where it lies."""
    what = [*outcome.failures, *outcome.lost, *outcome.bytes, *outcome.losses]
    if outcome.bytes:
        names = differing_variables(outcome.directory, outcome.setting.reference)
        what.append(f"variables that differ in the newest checkpoint: {', '.join(names) or 'none'}")
    return "\n  ".join([f"{outcome.directory} ({outcome.setting.case.scenario}), kept:", *what])


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Carry out the command line; 1 where anything differs."""
    parser = argparse.ArgumentParser(description="Kill training anywhere, resume, compare.")
    parser.add_argument("--kills", type=int, default=60, help="how many (60)")
    parser.add_argument("--kills_per_run", type=int, default=KILLS_PER_RUN,
                        help=f"after how many another scenario is next ({KILLS_PER_RUN})")
    parser.add_argument("--subject", default="sstem", choices=sorted(subjects()), help="what is trained (sstem)")
    parser.add_argument(BUDGET, action="store_true",
                        help="let a measurement decide the steps; it always comes to the same number here")
    parser.add_argument("--ranks", type=int, default=1, help="processes that train together (1)")
    parser.add_argument("--horovodrun", action="store_true", help="start the ranks with it: slower than forking them")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time (1)")
    parser.add_argument("--attempt", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.attempt:
        command, plan = read_json(options.attempt)
        return attempt(command, Plan(*plan) if plan else None, os.path.dirname(options.attempt))
    return results.command(lambda: _told(options))


def _told(options: argparse.Namespace) -> List[str]:
    """The directories of the runs that differ.

    Raises:
        Stopped: a signal ended the campaign; what was done is told all the same.
    """
    results.require_positive(kills=options.kills, kills_per_run=options.kills_per_run, ranks=options.ranks,
                             workers=options.workers)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    ask_for_onednn()
    started = time.monotonic()
    data = tempfile.mkdtemp(prefix="kill-anywhere-")
    prepare(options.subject, data)
    if not options.horovodrun:
        import_all(options.ranks)
    outcomes: List[Outcome] = []
    stopped: Optional[Stopped] = None
    try:
        campaign(options, data, outcomes)
    except Stopped as signalled:
        stopped = signalled
    seconds, kills = time.monotonic() - started, sum(len(outcome.kills) for outcome in outcomes)
    print(table(outcomes))
    print(f"\n{kills} kills, {sum(sum(outcome.cut) for outcome in outcomes)} of them left an unfinished save behind; "
          f"{options.subject}{', a budget' * options.train_minutes}, {options.ranks} rank(s), seed {options.seed}, "
          f"{seconds:.0f} s, "
          f"{seconds / max(1, kills):.2f} s a kill")
    versions = {"NumPy": "numpy", **({"Horovod": "horovod"} if options.ranks > 1 else {})}
    print(f"{results.described(machine(versions))}, Python {platform.python_version()}")
    bad = [outcome for outcome in outcomes if not outcome.good]
    for outcome in bad:
        print("\n" + complaints(outcome))
    if not bad:
        shutil.rmtree(data, ignore_errors=stopped is not None)
    if stopped is not None:
        raise stopped
    return [outcome.directory for outcome in bad]


if __name__ == "__main__":
    sys.exit(main())
