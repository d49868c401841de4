"""What the guards cost: training steps of UNet with all of them and with none, in turn, in one process.

    python benchmark/guard_cost.py --pairs 30
    python benchmark/guard_cost.py --pairs 30 --use_amp

Guards are the sums that find NaN and Inf, the branch they decide, the hooks that look for a stop and for a save that is
due, and with --skip_loss_spikes the averages behind it. The other side applies the gradients at once. Both compute the
same batches from the same weights; which goes first alternates. Printed are the median step of each, and the median of
the ratios of the pairs with the interval that holds it with 95 % probability (order statistics).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from utils.onednn import ask_for_onednn  # noqa: E402

ask_for_onednn()

import numpy as np  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402

from benchmark.kit import results  # noqa: E402
from benchmark.kit.machine import machine  # noqa: E402
from datasets.pipeline import training_batches  # noqa: E402
from runtime import model_fn  # noqa: E402
from runtime.assembly import Run, assemble  # noqa: E402
from runtime.distributed.base import Distributed  # noqa: E402
from runtime.hooks.saving import SaveHook  # noqa: E402
from runtime.hooks.stopping import StopHook  # noqa: E402
from runtime.optimisers import build_optimiser  # noqa: E402
from runtime.settings.tree import settings_from  # noqa: E402
from runtime.update import Update  # noqa: E402
from utils.errors import UserError  # noqa: E402

WARMUP_PAIRS, LEAST_PAIRS = 2, 6


def bare_update(run: Run, minimised: Any, losses: Dict[str, Any], rate: Any) -> Update:
    """What `build_update` does, without a guard."""
    optimiser = run.distributed.wrap_optimiser(build_optimiser(run.settings.training, rate))
    optimiser = run.device.wrap_optimiser(optimiser, run.distributed.place.size)
    return Update(optimiser.apply_gradients(optimiser.compute_gradients(minimised)), {})


def guard_hooks(run: Run) -> List[Any]:
    """The hooks of a run that guard it; nothing is due within the measurement."""

    def write(session: tf.Session, step: int) -> Any:
        raise OSError("nothing is saved here")

    return [StopHook(lambda: run.stop.requested), SaveHook(write, None, lambda line: None)]


@contextlib.contextmanager
def stepping(run: Run, guarded: bool) -> Iterator[Any]:
    """A function that trains one step."""
    with tf.Graph().as_default(), contextlib.ExitStack() as patched:
        tf.set_random_seed(run.settings.training.seed)
        tf.train.get_or_create_global_step()
        batches = training_batches(run.dataset, run.feeding, run.draw(), run.share)
        iterator = tf.data.make_initializable_iterator(batches)
        tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
        if not guarded:
            patched.enter_context(mock.patch.object(model_fn, "build_update", bare_update))
        spec = model_fn.training_fn(run, lambda report: guard_hooks(run) if guarded else [])(
            dict(iterator.get_next()), tf.estimator.ModeKeys.TRAIN)
        creator = tf.train.ChiefSessionCreator(spec.scaffold, config=run.device.session_config())
        with tf.train.MonitoredSession(creator, hooks=spec.training_hooks) as session:
            yield lambda: session.run(spec.train_op)


def measure(run: Run, pairs: int) -> np.ndarray:
    """Seconds of each step, float64 [pairs, 2]: guarded, bare."""
    seconds = np.zeros([pairs + WARMUP_PAIRS, 2])
    with stepping(run, guarded=True) as guarded, stepping(run, guarded=False) as bare:
        for pair in range(len(seconds)):
            order = (0, 1) if pair % 2 else (1, 0)
            for side in order:
                begun = time.perf_counter()
                (guarded, bare)[side]()
                seconds[pair, side] = time.perf_counter() - begun
    return seconds[WARMUP_PAIRS:]


def median_interval(values: Sequence[float]) -> Tuple[float, float, float]:
    """The median, and the order statistics that enclose the true one with at least 95 % probability."""
    ordered, count = sorted(values), len(values)
    # In whole numbers: of 2^count ways to lie on the two sides of the median, those with `rank` or fewer on one side.
    ways, tail, rank = 1, 0, 0
    while rank < count // 2:
        tail += ways
        if 40 * tail > 2 ** count:
            break
        ways = ways * (count - rank) // (rank + 1)
        rank += 1
    return float(np.median(ordered)), ordered[max(rank - 1, 0)], ordered[min(count - rank, count - 1)]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--use_amp", action="store_true")
    parser.add_argument("--skip_loss_spikes", action="store_true")
    flags = parser.parse_args(arguments)
    return results.command(lambda: _measure(flags))


def _measure(flags: argparse.Namespace) -> None:
    results.require_positive(filters=flags.filters)
    if flags.pairs < LEAST_PAIRS:
        raise UserError(f"--pairs {flags.pairs}", f"{LEAST_PAIRS} or more: the interval needs them", "raise it")
    settings = settings_from({"data_dir": "phantom", "device": "cpu", "filters": flags.filters, "max_steps": 10 ** 6,
                              "use_amp": flags.use_amp, "skip_loss_spikes": flags.skip_loss_spikes,
                              "model_dir": os.path.join(tempfile.gettempdir(), "unused")})
    run = assemble(settings, Distributed())
    size = run.feeding.window[0]
    seconds = measure(run, flags.pairs)
    ratio, low, high = median_interval(seconds[:, 0] / seconds[:, 1])
    guarded, bare = np.median(seconds, axis=0)
    print(f"UNet, {flags.filters} filters, {size} x {size}, batch 1, {run.device.precision}; "
          f"{results.described(machine({}))}")
    print(f"{flags.pairs} pairs: guarded {guarded:.3f} s a step, bare {bare:.3f} s; "
          f"cost {100 * (ratio - 1):+.2f} % (95 % interval {100 * (low - 1):+.2f} to {100 * (high - 1):+.2f} %)")


if __name__ == "__main__":
    sys.exit(main())
