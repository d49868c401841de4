"""Flags that a command would not heed, and that are refused. What recipes and runs say is theirs, and is left alone."""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple, Sequence, Tuple

from runtime.settings.tree import BEST, EVALUATE, IMPORT, TRAIN, Settings
from utils.errors import UserError


class _Idle(NamedTuple):
    """Flags, and what leaves them without effect.

    Attributes:
        names: of the flags.
        why: of a command's settings in words what leaves them so; empty where they have an effect.
        expected: what they are for.
    """

    names: Tuple[str, ...]
    why: Callable[[Settings], str]
    expected: str


def refuse_idle(runs: Sequence[Settings], given: Mapping[str, Any]) -> None:
    """Make sure that every flag of the table below has an effect on one of the runs at least.

    Args:
        runs: what the command means for each.
        given: its flags, by field name. A switch that is given as it is anyway asks for nothing.

    Raises:
        UserError: one has none.
    """
    defaults = Settings().values()
    for flags in _FLAGS:
        why = [flags.why(settings) for settings in runs]
        for name in flags.names if why and all(why) else ():
            if name in given and not (isinstance(given[name], bool) and given[name] == defaults[name]):
                flag, value = _words(name, given[name])
                raise UserError(f"{flag}{value} with {why[0]}", flags.expected, f"leave {flag} out")


def mode_words(settings: Settings) -> str:
    """What the command does, as it was asked for."""
    return f"{'--benchmark' if settings.benchmark.benchmark else '--exec_mode'} {settings.run.exec_mode}"


def _words(name: str, value: Any) -> Tuple[str, str]:
    """A flag, and what stands behind it."""
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{name}", ""
    return f"--{name}", f" {value}"


def _scaled(settings: Settings) -> str:
    feeding = settings.data.feeding
    of_which = f" of {settings.run.model_dir}" if settings.reads_run else ""
    return "" if feeding == "native_crops" else f"the feeding {feeding}{of_which}"


def _from_newest(settings: Settings) -> str:
    asked = settings.run.checkpoint == BEST
    chooses = settings.evaluates or settings.predicts or settings.exports
    return mode_words(settings) if asked and (settings.benchmark.benchmark or not chooses) else ""


def _unscored(settings: Settings) -> str:
    return "" if settings.evaluates and not settings.benchmark.benchmark else mode_words(settings)


def _unpredicted(settings: Settings) -> str:
    return "" if settings.predicts and not settings.benchmark.benchmark else mode_words(settings)


def _beside_its_run(settings: Settings) -> str:
    own = settings.run.exec_mode in (TRAIN, f"{TRAIN}_and_{EVALUATE}", IMPORT)
    return mode_words(settings) if own or settings.benchmark.benchmark else ""


def _measured(settings: Settings) -> str:
    return mode_words(settings) if settings.benchmark.benchmark else ""


def _without_dice(settings: Settings) -> str:
    options = settings.objective
    if options.objective != "semantic":
        return f"the objective {options.objective}"
    return "" if options.dice_weight else "the objective semantic without a Dice loss"


_FLAGS = (
    _Idle(("inference", "window_size", "blending"), _scaled,
          "a run that sees images in crops at their own scale (feeding native_crops), not scaled to its window"),
    _Idle(("checkpoint",), _from_newest,
          "a mode that evaluates, predicts or exports: training goes on from the newest checkpoint"),
    _Idle(("overlays", "save_probabilities"), _unpredicted, "a mode that predicts"),
    _Idle(("error_pictures",), _unscored, "a mode that evaluates"),
    _Idle(("output",), _beside_its_run, "a mode that writes elsewhere than beside its run"),
    _Idle(("resume_training",), _measured, "one of them: a benchmark goes on with no run"),
    _Idle(("dice_version",), _without_dice, "the objective semantic with a Dice loss, as in recipe drive-fcn-dice"),
)
