"""The settings tree, composed of the options that each room declares."""

from __future__ import annotations

import dataclasses
import os
import typing
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Tuple

from datasets.options import DataOptions
from model.options import ModelOptions
from objectives.options import AUTO, ObjectiveOptions
from utils.contracts import KERNEL_GRADIENTS
from utils.errors import UserError, unknown_name
from utils.options import INVOCATION, OPERATIONAL, TRAINING, Option, above, at_least, option, within

TRAIN, EVALUATE, PREDICT, EXPORT, IMPORT, RANK_TABLE, CHECK = (
    "train", "evaluate", "predict", "export", "import", "rank_table", "check")
NEWEST, BEST = "newest", "best"
STAIR_STEPS = 500
YEAR_MINUTES = 365 * 24 * 60
MEASURED = "measured"
MIXED, KEPT, NARROW = "allow_mix_precision", "must_keep_origin_dtype", "allow_fp32_to_fp16"
PRECISION_MODES = (KEPT, MIXED, NARROW, "force_fp32")
"""Of Ascend's adapter: as written; float16 by lists of operators; float16 wherever it can be; float32 everywhere."""
EXEC_MODES = (TRAIN, EVALUATE, "train_and_evaluate", PREDICT, "train_and_predict", EXPORT, IMPORT, RANK_TABLE, CHECK)
SAVED_MODEL, ONNX, FROZEN, TFLITE = EXPORT_FORMATS = ("saved_model", "onnx", "frozen", "tflite")


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Run."""

    exec_mode: str = option(TRAIN, "what to do", kind=INVOCATION, choices=EXEC_MODES)
    recipe: Optional[str] = option(
        None, "the settings of a published result, or of a fast recipe: a name from recipes/, or a YAML file")
    model_dir: str = option("./results", "directory of the run (/results where that can be written)", kind=INVOCATION)
    log_dir: Optional[str] = option(None, "directory of log.json (default: model_dir)", kind=INVOCATION)
    resume_training: bool = option(False, "go on with the run in model_dir", kind=INVOCATION)
    resume_with_changes: bool = option(
        False, "with --resume_training: flags that change the result are meant", kind=INVOCATION)
    overwrite: bool = option(False, "move the run in model_dir aside and start anew; evaluate, predict, export: move "
                             "aside what is in --output; rank_table: replace the file", kind=INVOCATION)
    weights: Optional[str] = option(
        None, "exec_mode import: a checkpoint of another program: MMSegmentation's (.pth) or NVIDIA's UNet_Medical",
        kind=INVOCATION)
    checkpoint: str = option(NEWEST, "the checkpoint to evaluate, predict and export with", kind=INVOCATION,
                             choices=(NEWEST, BEST))
    compare_levels: bool = option(
        False, "modes that evaluate, unetpp with deep supervision: score and time every pruning level, in a table and "
        "a plot", kind=INVOCATION)
    output: Optional[str] = option(
        None, "where to write: the directory of predictions (default: <model_dir>/predictions), of exports (default: "
        "<model_dir>/export), or of an evaluation (default: <model_dir>); exec_mode check: of the report (default: "
        "./check); exec_mode rank_table: the file (default: hccl.json)", kind=INVOCATION)
    debug: bool = option(False, "show tracebacks and TensorFlow's own messages", kind=INVOCATION)


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """Training."""

    max_steps: int = option(1000, "optimiser steps", kind=OPERATIONAL, check=at_least(1))
    train_minutes: Optional[float] = option(
        None, "minutes of training in place of max_steps: a few steps are timed, and as many done as fit",
        kind=TRAINING, check=above(0.0, YEAR_MINUTES))
    budget_steps: Optional[int] = option(None, "the steps that train_minutes came to when the run began",
                                         kind=TRAINING, flag=False, check=at_least(1))
    batch_size: int = option(1, "images a step on each device", kind=TRAINING, check=at_least(1))
    global_batch_size: Optional[int] = option(None, "images a step over all devices", kind=TRAINING, flag=False,
                                              check=at_least(1))
    step_rule: str = option("keep", "what several ranks do to a recipe's steps", kind=TRAINING, flag=False,
                            choices=("keep", "divide"))
    learning_rate: float = option(1e-4, "learning rate", kind=TRAINING, check=above(0.0))
    weight_decay: float = option(5e-4, "weight decay: times the sum of half squares; of adamw, times the learning rate "
                                 "times the weights", kind=TRAINING, check=at_least(0.0))
    weight_decay_scope: str = option("kernels", "variables that decay", kind=TRAINING, flag=False,
                                     choices=("kernels", "all"))
    learning_rate_schedule: str = option("staircase", "how the learning rate falls", kind=TRAINING, flag=False,
                                         choices=("staircase", "poly", "one_cycle", "cosine"))
    learning_rate_end: float = option(1e-4, "schedules poly, one_cycle and cosine: the last learning rate",
                                      kind=TRAINING, flag=False, check=at_least(0.0))
    learning_rate_warmup: float = option(0.2, "schedule one_cycle: the share of its steps in which the rate rises",
                                         kind=TRAINING, flag=False, check=within(0.0, 0.9))
    learning_rate_power: float = option(0.9, "schedule poly: its power", kind=TRAINING, flag=False, check=above(0.0))
    learning_rate_decay_factor: float = option(
        1.0, "what the learning rate is multiplied by after every learning_rate_decay_steps", kind=TRAINING, flag=False,
        check=above(0.0))
    learning_rate_decay_steps: Optional[int] = option(
        None, "schedule staircase: steps between two falls of the learning rate; the others: steps until the "
        f"last one (default: {STAIR_STEPS}; max_steps)", kind=TRAINING, flag=False, check=at_least(1))
    optimiser: str = option("adam", "optimiser", kind=TRAINING, flag=False, choices=(
        "adam", "adamw", "rmsprop", "momentum"))
    momentum: float = option(0.9, "momentum of the optimiser `momentum`", kind=TRAINING, flag=False,
                             check=within(0.0, 1.0))
    rmsprop_decay: float = option(0.9, "decay of the averages of RMSProp", kind=TRAINING, flag=False,
                                  check=within(0.0, 1.0))
    rmsprop_momentum: float = option(0.8, "momentum of RMSProp", kind=TRAINING, flag=False, check=within(0.0, 1.0))
    seed: int = option(0, "seed of everything random", check=within(0, 2 ** 31 - 1))
    log_every: int = option(100, "steps between two log records", kind=OPERATIONAL, check=at_least(1))
    save_checkpoints_steps: Optional[int] = option(
        None, "steps between two checkpoints (default: about ten minutes of training); one is saved at the end too",
        kind=OPERATIONAL, check=at_least(1))
    save_checkpoints_minutes: Optional[float] = option(
        None, "minutes of training between two checkpoints, beside save_checkpoints_steps or in its place",
        kind=OPERATIONAL, check=above(0.0))
    keep_checkpoint_max: int = option(3, "checkpoints to keep, and the best", kind=OPERATIONAL, check=at_least(1))
    evaluate_every: Optional[int] = option(
        None, "steps between two evaluations on the validation split while training (default: none)", kind=OPERATIONAL,
        check=at_least(1))
    best_metric: str = option("eval_dice_score", "score that the best checkpoint is chosen by", kind=OPERATIONAL)
    early_stopping_patience: Optional[int] = option(
        None, "evaluations without a better best_metric that end training (default: never)", kind=OPERATIONAL,
        check=at_least(1))
    skip_loss_spikes: bool = option(False, "skip, and count, updates of steps whose loss jumps", kind=TRAINING)

    @property
    def schedule_steps(self) -> int:
        """The steps that the schedule of the learning rate counts in."""
        if self.learning_rate_decay_steps is not None:
            return self.learning_rate_decay_steps
        return STAIR_STEPS if self.learning_rate_schedule == "staircase" else self.max_steps

    @property
    def standstill(self) -> Optional[int]:
        """The step from which on the learning rate is 0 and nothing is learnt, where the schedule ends so."""
        falls = self.learning_rate_schedule in ("poly", "one_cycle", "cosine")
        return self.schedule_steps if falls and self.learning_rate_end == 0.0 else None

    @property
    def undecided(self) -> bool:
        """Whether it takes a measurement to tell how many steps there are."""
        return self.train_minutes is not None and self.budget_steps is None

    @property
    def images_per_step(self) -> int:
        """Images a step over all ranks, of settings that `compose` has resolved."""
        return self.global_batch_size or self.batch_size


@dataclasses.dataclass(frozen=True)
class DeviceOptions:
    """Device and precision."""

    device: str = option("auto", "where to compute", kind=OPERATIONAL, choices=("auto", "cpu", "gpu", "npu"))
    use_amp: bool = option(False, "mixed precision: float16 on NVIDIA, bfloat16 on CPUs that have it",
                           kind=TRAINING, aliases=("amp",))
    loss_scale: Optional[float] = option(
        None, "a fixed loss scale, where --use_amp means float16 (default: one that adapts)", kind=TRAINING,
        check=at_least(1.0))
    use_xla: bool = option(False, "compile with XLA", kind=TRAINING, aliases=("xla",))
    deterministic: bool = option(False, "bit-identical repetition", kind=OPERATIONAL)
    kernel_gradient: str = option(
        MEASURED, "CPU: how the gradients of convolution kernels are computed: the fastest way, measured once for each "
        "processor (with --deterministic: plain), or one and the same wherever it can be", kind=OPERATIONAL,
        choices=(MEASURED, *KERNEL_GRADIENTS))
    iterations_per_loop: int = option(1, "Ascend: training steps that the device does at a time, without the host",
                                      kind=OPERATIONAL, check=at_least(1))
    precision_mode: Optional[str] = option(
        None, "Ascend: the adapter's mode (default: must_keep_origin_dtype; allow_mix_precision with --use_amp)",
        kind=TRAINING, choices=PRECISION_MODES)
    profiling: Optional[str] = option(
        None, "directory for traces: on Ascend the adapter's own, elsewhere of training steps, for chrome://tracing, "
        "and the ten dearest operations are printed", kind=INVOCATION)
    over_dump: Optional[str] = option(None, "Ascend: directory for the operators whose numbers overflow",
                                      kind=INVOCATION)
    data_dump: Optional[str] = option(None, "Ascend: directory for what every operator takes and gives",
                                      kind=INVOCATION)
    data_dump_step: str = option("10", "Ascend: the steps of --data_dump, such as '0|5|10'", kind=INVOCATION)


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions:
    """Benchmark."""

    benchmark: bool = option(False, "measure throughput and latency of train or predict; model_dir is not touched",
                             kind=INVOCATION)
    warmup_steps: int = option(200, "steps before the measured ones; max_steps counts both", kind=INVOCATION,
                               check=at_least(1))


@dataclasses.dataclass(frozen=True)
class PredictionOptions:
    """Prediction."""

    input: Tuple[str, ...] = option(
        (), "predict these images in place of the data set's own: files, folders, patterns such as 'scans/*.tif'; "
        "exec_mode evaluate of a run on a folder: the directory of other images and masks to score", kind=INVOCATION)
    ensemble: Tuple[str, ...] = option(
        (), "directories of runs whose probabilities are averaged, in place of --model_dir: those of five folds, say",
        kind=INVOCATION)
    stream: bool = option(
        False, "predict every TIFF of --input from file to file, in memory that does not grow with it; others than the "
        "largest, of which all are, are else predicted as a whole", kind=INVOCATION)
    save_probabilities: bool = option(True, "write probabilities beside masks", kind=INVOCATION)
    overlays: bool = option(False, "write images with the predicted classes drawn over them", kind=INVOCATION)
    error_pictures: bool = option(
        False, "modes that evaluate: write the best, the median and the worst image with what is right and wrong in "
        "colours", kind=INVOCATION)


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Export (exec_mode export)."""

    format: Tuple[str, ...] = option(
        (SAVED_MODEL,), "forms to export the trained network in, one or several", kind=INVOCATION,
        choices=EXPORT_FORMATS)


@dataclasses.dataclass(frozen=True)
class RankTableOptions:
    """Rank table (exec_mode rank_table)."""

    devices: Optional[str] = option(None, "Ascend devices of this server, by rank: 0-7, or 4,5", kind=INVOCATION)
    server_ip: Optional[str] = option(None, "address of this server", kind=INVOCATION)
    device_ips: Optional[str] = option(
        None, "addresses of the devices, with commas (default: those of /etc/hccn.conf)", kind=INVOCATION)
    table_format: str = option("new", "of servers, or of groups as older CANN releases have it", kind=INVOCATION,
                               choices=("new", "old"))
    table: Optional[str] = option(None, "a table to check instead of writing one", kind=INVOCATION)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that decides a run. Immutable; `with_values` makes a changed copy."""

    run: RunOptions = RunOptions()
    data: DataOptions = DataOptions()
    model: ModelOptions = ModelOptions()
    objective: ObjectiveOptions = ObjectiveOptions()
    training: TrainingOptions = TrainingOptions()
    device: DeviceOptions = DeviceOptions()
    prediction: PredictionOptions = PredictionOptions()
    export: ExportOptions = ExportOptions()
    benchmark: BenchmarkOptions = BenchmarkOptions()
    rank_table: RankTableOptions = RankTableOptions()

    @property
    def trains(self) -> bool:
        """Whether the exec mode trains."""
        return self.run.exec_mode.startswith(TRAIN)

    @property
    def evaluates(self) -> bool:
        """Whether the exec mode evaluates."""
        return self.run.exec_mode.endswith(EVALUATE)

    @property
    def predicts(self) -> bool:
        """Whether the exec mode predicts."""
        return self.run.exec_mode.endswith(PREDICT)

    @property
    def exports(self) -> bool:
        """Whether the exec mode writes the trained network in forms that other programs run."""
        return self.run.exec_mode == EXPORT

    @property
    def imports(self) -> bool:
        """Whether the exec mode brings in weights of another program."""
        return self.run.exec_mode == IMPORT

    @property
    def tabulates(self) -> bool:
        """Whether the exec mode writes a rank table, and does nothing with any run."""
        return self.run.exec_mode == RANK_TABLE

    @property
    def checks(self) -> bool:
        """Whether the exec mode looks data over, and does nothing with any run."""
        return self.run.exec_mode == CHECK

    @property
    def watches(self) -> bool:
        """Whether the command looks at the validation split on the way: while training, or for a threshold."""
        training = self.trains and self.training.evaluate_every is not None
        return training or (self.objective.threshold == AUTO and (self.evaluates or self.predicts or self.exports))

    @property
    def reads_run(self) -> bool:
        """Whether the command builds on the run in model_dir."""
        if self.benchmark.benchmark or self.imports or self.tabulates or self.checks:
            return False
        return not self.trains or self.run.resume_training

    @property
    def keeps_run(self) -> bool:
        """Whether the command makes a run, or goes on with one."""
        return self.imports or (self.trains and not self.benchmark.benchmark)

    def values(self) -> Dict[str, Any]:
        """All fields of the tree as one flat mapping; names are unique over the groups."""
        return {field.name: getattr(getattr(self, field.group), field.name) for field in fields()}


class Field(NamedTuple):
    """One field of the tree: its group's name, its own, its type, default and option."""

    group: str
    name: str
    type: Any
    default: Any
    option: Option

    @property
    def several(self) -> bool:
        """Whether it holds any number of values."""
        return getattr(self.type, "__origin__", None) is tuple

    @property
    def kinds(self) -> Tuple[Any, ...]:
        """The types that its value, or each of its values, may have, but for None."""
        return tuple(kind for kind in getattr(self.type, "__args__", (self.type,)) if kind not in (type(None), ...))


def fields() -> Iterator[Field]:
    """Every field of the tree, group by group, in the order of declaration."""
    for group in dataclasses.fields(Settings):
        options: Any = type(group.default)
        types = typing.get_type_hints(options)
        for field in dataclasses.fields(options):
            yield Field(group.name, field.name, types[field.name], field.default, field.metadata["option"])


def settings_from(values: Mapping[str, Any]) -> Settings:
    """The tree with `values` (flat, by field name) in place of the defaults.

    Raises:
        UserError: unknown name, value of a wrong type, out of range or not among the choices.
    """
    known = {field.name: field for field in fields()}
    grouped: Dict[str, Dict[str, Any]] = {}
    for name, value in values.items():
        if name not in known:
            raise unknown_name("setting", str(name), known)
        grouped.setdefault(known[name].group, {})[name] = _checked(known[name], value)
    groups: Dict[str, Any] = {field.name: field.default for field in dataclasses.fields(Settings)}
    return Settings(**{name: dataclasses.replace(group, **grouped.get(name, {})) for name, group in groups.items()})


def with_values(settings: Settings, **changes: Any) -> Settings:
    """A copy of `settings` with some fields, named flatly, changed; raises like `settings_from`."""
    return settings_from(dict(settings.values(), **changes))


def default_model_dir() -> str:
    """`/results` where that exists and can be written, as in the container; else `./results`."""
    container = os.sep + "results"
    return container if os.path.isdir(container) and os.access(container, os.W_OK) else "./results"


def _checked(field: Field, value: Any) -> Any:
    if value is None and field.default is None:
        return None
    if field.several:
        if not isinstance(value, (list, tuple)):
            raise _wrong_type(field, value, "a list")
        return tuple(_checked_alone(field, each) for each in value)
    return _checked_alone(field, value)


def _checked_alone(field: Field, value: Any) -> Any:
    value = _of_type(field, value)
    option_ = field.option
    if option_.choices is not None and value not in option_.choices:
        raise unknown_name("--" + field.name, str(value), [str(choice) for choice in option_.choices])
    expected = option_.check(value) if option_.check is not None else None
    if expected is not None:
        raise UserError(f"--{field.name} {value}", expected, "give a value in that range")
    return value


def _of_type(field: Field, value: Any) -> Any:
    kinds = field.kinds
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) != (bool in kinds) or not isinstance(value, kinds):
        raise _wrong_type(field, value, "a value of type " + " or ".join(kind.__name__ for kind in kinds))
    return value


def _wrong_type(field: Field, value: Any, expected: str) -> UserError:
    return UserError(f"{field.name}: {value!r}", expected, "mend it in the recipe or the call")
