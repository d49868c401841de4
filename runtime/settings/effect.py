"""Flags that a command would not heed, and that are refused. What recipes and runs say is theirs, and is left alone."""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple, Sequence, Tuple

from datasets.options import ALL_FOLDS
from runtime.settings.tree import BEST, EVALUATE, IMPORT, TRAIN, Settings
from utils.errors import UserError


class _Idle(NamedTuple):
    """Flags, and what leaves them without effect.

    Attributes:
        names: of the flags.
        why: of a command's settings in words what leaves them so; empty where they have an effect.
        expected: what they are for.
        again: whether what a saved run says may be said again: a command for training, whose mode was changed.
    """

    names: Tuple[str, ...]
    why: Callable[[Settings], str]
    expected: str
    again: bool = False


def refuse_idle(runs: Sequence[Settings], given: Mapping[str, Any], saved: Sequence[Mapping[str, Any]]) -> None:
    """Make sure that every flag of the table below has an effect on one of the runs at least.

    Args:
        runs: what the command means for each.
        given: its flags, by field name. A switch that is given as it is anyway asks for nothing.
        saved: what the run that each of them builds on says, by field name; nothing of one that begins.

    Raises:
        UserError: one has none.
    """
    defaults = Settings().values()
    for flags in _FLAGS:
        why = [flags.why(settings) for settings in runs]
        if not (why and all(why)):
            continue
        asked = [name for name in flags.names if name in given and not _as_it_is(given[name], defaults[name])
                 and not (flags.again and all(own.get(name, ()) == given[name] for own in saved))]
        if asked:
            told = ", ".join("{}{}".format(*_words(name, given[name])) for name in asked)
            out = ", ".join(_words(name, given[name])[0] for name in asked)
            raise UserError(f"{told} with {why[0]}", flags.expected, f"leave {out} out")


def mode_words(settings: Settings) -> str:
    """What the command does, as it was asked for."""
    return f"{'--benchmark' if settings.benchmark.benchmark else '--exec_mode'} {settings.run.exec_mode}"


def _as_it_is(value: Any, default: Any) -> bool:
    return isinstance(value, bool) and value == default


def _words(name: str, value: Any) -> Tuple[str, str]:
    """A flag, and what stands behind it."""
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{name}", ""
    return f"--{name}", f" {' '.join(value) if isinstance(value, (list, tuple)) else value}"


def _scaled(settings: Settings) -> str:
    feeding = settings.data.feeding
    of_which = f" of {settings.run.model_dir}" if settings.reads_run else ""
    return "" if feeding == "native_crops" else f"the feeding {feeding}{of_which}"


def _unless(heeded: Callable[[Settings], bool]) -> Callable[[Settings], str]:
    """For flags that some modes heed: what the command does, where it is none of them."""
    return lambda settings: "" if heeded(settings) else mode_words(settings)


def _measures(settings: Settings) -> bool:
    return settings.benchmark.benchmark


def _begins(settings: Settings) -> bool:
    """How a run is trained is decided, or done, or looked ahead to: a command for training may be checked first."""
    return settings.trains or settings.imports or settings.checks


def _goes_on(settings: Settings) -> bool:
    """There is something that may have been begun: a training, or the evaluation of all folds."""
    folds = settings.evaluates and settings.data.crossvalidation_idx == ALL_FOLDS
    return not _measures(settings) and (settings.trains or folds)


def _takes_newest(settings: Settings) -> bool:
    """Whatever checkpoint is asked for."""
    return _measures(settings) or not (settings.evaluates or settings.predicts or settings.exports)


def _writes_elsewhere(settings: Settings) -> bool:
    beside_its_run = settings.run.exec_mode in (TRAIN, f"{TRAIN}_and_{EVALUATE}", IMPORT)
    return not (beside_its_run or _measures(settings))


def _undumped(settings: Settings) -> str:
    return "" if settings.device.data_dump else "no --data_dump"


def _unranked(settings: Settings) -> str:
    """No evaluation while training, and no best checkpoint asked for."""
    wanted = settings.training.evaluate_every is not None or settings.run.checkpoint == BEST
    return "" if wanted else f"{mode_words(settings)} and no --evaluate_every"


def _unmasked(settings: Settings) -> str:
    """No score of pixels inside the field of view."""
    options = settings.objective
    told = options.objective in ("semantic", "bce_dice") or options.extended_scores == "vessels"
    return "" if told else f"the objective {options.objective}"


def _in_one_piece(settings: Settings) -> str:
    return "--inference whole" if settings.data.inference == "whole" else ""


def _shallow(settings: Settings) -> str:
    return "" if settings.model.deep_supervision else f"the network {settings.model.model} without deep supervision"


def _without_dice(settings: Settings) -> str:
    options = settings.objective
    if options.objective != "semantic":
        return f"the objective {options.objective}"
    return "" if options.dice_weight else "the objective semantic without a Dice loss"


_FLAGS = (
    _Idle(("inference", "window_size", "blending"), _scaled,
          "a run that sees images in crops at their own scale (feeding native_crops), not scaled to its window"),
    _Idle(("blending",), _in_one_piece, "images that are predicted in windows (--inference slide)", again=True),
    _Idle(("checkpoint",), _unless(lambda own: own.run.checkpoint != BEST or not _takes_newest(own)),
          "a mode that evaluates, predicts or exports: training goes on from the newest checkpoint"),
    _Idle(("overlays", "save_probabilities"), _unless(lambda own: own.predicts and not _measures(own)),
          "a mode that predicts"),
    _Idle(("error_pictures",), _unless(lambda own: own.evaluates), "a mode that evaluates"),
    _Idle(("output",), _unless(_writes_elsewhere), "a mode that writes elsewhere than beside its run"),
    _Idle(("resume_training",), _unless(_goes_on),
          "a mode that trains a run, or evaluates all folds, with which it goes on"),
    _Idle(("dice_version",), _without_dice, "the objective semantic with a Dice loss, as in recipe drive-fcn-dice"),
    _Idle(("fov",), _unmasked, "the objectives semantic and bce_dice, as in the recipes of these data sets, or "
          "--extended_scores vessels"),
    _Idle(("head_mode",), _shallow, "a network with deep supervision, whose heads it chooses among", again=True),
    _Idle(("max_steps",), _unless(lambda own: _begins(own) or _measures(own)),
          "a mode that trains, or --benchmark: others take the newest checkpoint, or the best (--checkpoint best)",
          again=True),
    _Idle(("train_minutes", "learning_rate", "weight_decay", "augment", "skip_loss_spikes", "loss_scale",
           "evaluate_every", "early_stopping_patience", "log_every", "save_checkpoints_steps",
           "save_checkpoints_minutes", "keep_checkpoint_max"), _unless(_begins), "a mode that trains", again=True),
    _Idle(("best_metric",), _unranked, "evaluations while training (--evaluate_every), whose best it chooses",
          again=True),
    _Idle(("warmup_steps",), _unless(_measures), "--benchmark: they are the steps before the measured ones"),
    _Idle(("format",), _unless(lambda own: own.exports), "--exec_mode export"),
    _Idle(("use_amp", "use_xla"), _unless(lambda own: not own.exports),
          "a mode that computes with the network: it is exported in float32", again=True),
    _Idle(("device",), _unless(lambda own: not own.exports or own.device.device in ("auto", "cpu")),
          "a mode that computes with the network: it is exported on the processor", again=True),
    _Idle(("devices", "server_ip", "device_ips", "table_format", "table"), _unless(lambda own: own.tabulates),
          "--exec_mode rank_table"),
    _Idle(("data_dump_step",), _undumped, "--data_dump with a directory"),
)
