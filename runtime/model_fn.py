"""The graphs of a run: what is trained, what evaluation counts, what prediction gives.

Each builder closes over the parts of a run and returns a `model_fn` for the Estimator. Evaluation is
prediction that returns counts per image: sums over batches and ranks are then plain integer sums.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import tensorflow.compat.v1 as tf

from datasets.feeding import Function
from datasets.pipeline import SIZE
from objectives.base import Targets
from runtime.assembly import Run
from runtime.guard import Failure
from runtime.optimisers import learning_rate, weight_decay_loss
from runtime.update import build_update
from utils.contracts import KERNEL_GRADIENTS, Convolution, Outputs, StepContext, Tensor
from utils.errors import UserError
from utils.metrics import grey_histogram

ModelFn = Callable[..., Any]
INPUT_WAIT = "input_wait_seconds"


@dataclasses.dataclass(frozen=True)
class Report:
    """What hooks may look at while a run trains.

    Attributes:
        scalars: float32 scalars by the name they are logged under; losses are means over the ranks.
        images: uint8 [batch, height, width, 1 or 3] by name.
        features: the batch.
        stop_wish: variable, float32 scalar: 1 where this rank wants to stop; None in one process.
        stop_agreed: float32 scalar, above 0 where any rank wants to; None in one process.
        failure: the first step with bad numbers, where the graph only notes it.
    """

    scalars: Dict[str, Tensor]
    images: Dict[str, Tensor]
    features: Dict[str, Tensor]
    stop_wish: Optional[Tensor] = None
    stop_agreed: Optional[Tensor] = None
    failure: Optional[Failure] = None


def training_fn(run: Run, make_hooks: Callable[[Report], List[Any]],
                restored: Optional[Mapping[str, Tuple[int, ...]]] = None) -> ModelFn:
    """A `model_fn` that trains.

    Args:
        run: the run's parts.
        make_hooks: turns the graph's report into hooks.
        restored: the shapes of the variables of the checkpoint that training goes on from, by name.
    """

    def model_fn(features: Dict[str, Tensor], mode: str) -> Any:
        outputs, parts = forward(run, features)
        total = tf.add_n(list(parts.values()))
        decay = weight_decay_loss(run.settings.training)
        rate = learning_rate(run.settings.training)
        losses = {"train_" + name + "_loss": part for name, part in parts.items()}
        losses.update(train_total_loss=total, train_weight_decay_loss=decay)
        wish = _local("stop_wish", []) if run.distributed.place.size > 1 else None
        means = _mean_over_ranks(run, losses if wish is None else dict(losses, stop=wish))
        agreed = means.pop("stop", None)
        update = build_update(run, total + decay, means, rate)
        scalars = dict(means, learning_rate=rate, **update.counters)
        report = Report(scalars, _pictures(run, features, outputs), features, wish, agreed, update.failure)
        # The Estimator has a hook of its own against NaN, which would come first and tell less.
        shown = tf.where(tf.math.is_finite(total), total, tf.zeros_like(total))
        return run.device.spec(mode=mode, loss=shown, train_op=_counted(update.op, list(means.values())),
                               training_hooks=make_hooks(report), scaffold=_scaffold(run, restored))

    return model_fn


def forward(run: Run, features: Dict[str, Tensor]) -> Tuple[Outputs, Dict[str, Tensor]]:
    """What the network computes of a training batch, and the parts of its loss, float32 scalars by name."""
    found = run.network(run.feeding.normalised(features["image"]), _training_context(run, features))
    outputs = Outputs(run.device.widen(found.logits), tuple(run.device.widen(head) for head in found.auxiliaries))
    with run.device.wide():
        targets = dataclasses.replace(_targets(features), over_ranks=lambda tensor: _sum_over_ranks(run, tensor))
        return outputs, run.objective.loss_parts(outputs, targets)


CERTAIN = 0.999
"""Probability above which a class is all but certain."""


def counting_fn(run: Run, split: str, with_maps: bool = False) -> ModelFn:
    """A `model_fn` whose predictions are what `counted` gives; and with maps, of two classes, the probability of the
    second at the images' own size as "map", float32 [batch, height, width].
    """

    def model_fn(features: Dict[str, Tensor], mode: str) -> Any:
        logits = _merged_logits(run, features, split)
        counts = counted(run, logits, features)
        counts.update(_maps(run, features, logits, split) if with_maps else {})
        return run.device.spec(mode=mode, predictions=counts)

    return model_fn


def counted(run: Run, logits: Tensor, features: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Per image, what scores are computed from, its index, its histogram, as "certain" the share of its pixels whose
    class is all but certain, and as "finite" whether all its probabilities are numbers.

    Args:
        run: the run's parts.
        logits: of a batch.
        features: the batch, as `evaluation_batches` gives it.
    """
    outputs, targets = Outputs(logits), _targets(features)
    shown = run.feeding.shown(features["image"])
    with run.device.wide():
        counts = dict(run.objective.counts(outputs, targets), index=features["index"])
        probabilities = run.objective.probabilities(outputs.logits)
        certain = tf.cast(tf.reduce_max(probabilities, axis=-1) > CERTAIN, tf.float32)
        pixels = tf.maximum(tf.reduce_sum(targets.valid, axis=[1, 2]), 1.0)
        counts["certain"] = tf.reduce_sum(certain * targets.valid, axis=[1, 2]) / pixels
        counts["finite"] = tf.reduce_all(tf.math.is_finite(probabilities), axis=[1, 2, 3])
    counts["histogram"] = grey_histogram(shown, targets.labels, targets.valid, run.dataset.spec.classes)
    return counts


def scored_fn(run: Run, split: str, with_maps: bool = False) -> ModelFn:
    """A `model_fn` whose predictions are the batch, the probabilities that it is `SCORED` by, and the maps of
    `counting_fn`.
    """

    def model_fn(features: Dict[str, Tensor], mode: str) -> Any:
        logits = _merged_logits(run, features, split)
        maps = _maps(run, features, logits, split) if with_maps else {}
        return run.device.spec(mode=mode, predictions={**features, **_scored(run, logits), **maps})

    return model_fn


SCORED = "scored"
"""Probabilities of a batch at the size that the network gives, which scores are made of: float32 [batch, height, width,
classes].
"""


def predicting_fn(run: Run, split: str, with_scored: bool = False) -> ModelFn:
    """A `model_fn` that predicts at the images' own size.

    Predictions: "probabilities" float32 [batch, height, width, classes] and "classes" uint8 [batch, height,
    width]; "score" float32 [batch] where the objective judges images, the one that evaluation gives them; what the
    images are `SCORED` by, where that is asked for, and "valid" beside it, 1 where a pixel counts, else 0; and the time
    spent waiting for input, where the input tells.
    """
    def model_fn(features: Dict[str, Tensor], mode: str) -> Any:
        logits = _merged_logits(run, features, split)
        probabilities = _native_probabilities(run, features, logits, split)
        predictions = _predictions(run, logits, probabilities, features["valid"])
        predictions.update({"valid": features["valid"], **_scored(run, logits)} if with_scored else {})
        predictions.update({name: features[name] for name in (INPUT_WAIT,) if name in features})
        return run.device.spec(mode=mode, predictions=predictions)

    return model_fn


def whole_predictions(run: Run, images: Tensor) -> Dict[str, Tensor]:
    """What `predicting_fn` predicts of images that are seen at once.

    Args:
        run: the run.
        images: as `datasets.feeding.Decoded.image`, [batch, height, width, channels], all sizes known only when the
            graph runs.
    """
    logits = run.feeding.whole_logits(images, _network(run))
    probabilities = run.feeding.restore(run.objective.probabilities(logits), tf.shape(images)[1:3])
    return _predictions(run, logits, probabilities, tf.ones_like(logits[..., 0]))


def _predictions(run: Run, logits: Tensor, probabilities: Tensor, valid: Tensor) -> Dict[str, Tensor]:
    classes = tf.cast(tf.argmax(probabilities, -1, output_type=tf.int32), tf.uint8)
    score = run.objective.image_scores(logits, valid)
    return {"probabilities": probabilities, "classes": classes, **({} if score is None else {"score": score})}


def _scored(run: Run, logits: Tensor) -> Dict[str, Tensor]:
    with run.device.wide():
        return {SCORED: run.objective.probabilities(logits)}


def _maps(run: Run, features: Dict[str, Tensor], logits: Tensor, split: str) -> Dict[str, Tensor]:
    """The maps of `counting_fn`, by their name."""
    return {"map": _native_probabilities(run, features, logits, split)[..., 1]}


INSIDE, LOGITS = "inside", "logits"


def window_fn(run: Run) -> ModelFn:
    """A `model_fn` that predicts windows of an image: of features "image" and `INSIDE` as `Feeding.window_logits` has
    them, `LOGITS` float32 [batch, inner height, inner width, channels].
    """
    def model_fn(features: Dict[str, Tensor], mode: str) -> Any:
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            variants = run.feeding.window_logits(features["image"], features[INSIDE], _network(run))
        return run.device.spec(mode=mode, predictions={LOGITS: run.objective.merged(variants)})

    return model_fn


def _native_probabilities(run: Run, features: Dict[str, Tensor], logits: Tensor, split: str) -> Tensor:
    """Probabilities at the images' own size, float32 [batch, height, width, classes]."""
    # Images of different sizes come one by one; a size that is known beforehand leaves no other unknown.
    size = run.dataset.native_size(split) if run.dataset.uniform(split) else features[SIZE][0]
    return run.feeding.restore(run.objective.probabilities(logits), size)


def _merged_logits(run: Run, features: Dict[str, Tensor], split: str) -> Tensor:
    """Logits of a batch that is evaluated or predicted, in float32; the mean of the heads that the network gives, and
    of the variants of the image that are asked for.
    """
    if run.feeding.whole and run.dataset.uniform(split):
        features["image"].set_shape([1, *run.dataset.native_size(split), run.dataset.spec.channels])
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
        variants = run.feeding.logits(features["image"], _network(run), run.settings.training.batch_size)
    return run.objective.merged(variants)


def _network(run: Run) -> Function:
    """What the network predicts, in float32: the mean of the heads that it gives."""
    context = StepContext(training=False, seed=run.settings.training.seed)

    def network(inputs: Tensor) -> Tensor:
        found = run.network(inputs, context)
        return run.objective.merged([run.device.widen(head) for head in (found.logits, *found.auxiliaries)])

    return network


def _training_context(run: Run, features: Dict[str, Tensor]) -> StepContext:
    alone = StepContext(training=True, seed=run.settings.training.seed, sample_keys=features["key"],
                        kernel_gradient=_kernel_gradient(run))
    if not run.settings.model.sync_batch_norm:
        return alone
    return dataclasses.replace(alone, cross_rank_mean=run.distributed.mean, ranks=run.distributed.place.size)


def _kernel_gradient(run: Run) -> Callable[[Convolution], str]:
    """How the gradient of a convolution's kernel is computed: on all ranks as on the chief.

    Each would measure something else, and where gradients do not come about alike ranks wait for one another's under
    names that the other never sends.
    """
    choose, ranks = run.device.kernel_gradient, run.distributed
    if ranks.place.size == 1 or not run.device.measures:
        return choose

    def agreed(sizes: Convolution) -> str:
        return KERNEL_GRADIENTS[ranks.from_chief(KERNEL_GRADIENTS.index(choose(sizes)) if ranks.is_chief else 0)]

    return agreed


def _targets(features: Dict[str, Tensor]) -> Targets:
    return Targets(features["label"], features["valid"], features.get("region"))


def _sum_over_ranks(run: Run, tensor: Tensor) -> Tensor:
    ranks = run.distributed.place.size
    return run.distributed.mean(tensor) * float(ranks) if ranks > 1 else tensor


def _mean_over_ranks(run: Run, scalars: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """One collective for all, in which every rank takes part at every step, whatever it logs.

    The variable is what keeps it in the graph of a rank that logs nothing: TensorFlow takes the collective
    for free of side effects, would leave it out there, and the others would wait for ever.
    """
    means = run.distributed.mean(tf.stack(list(scalars.values())))
    kept = tf.assign(_local("reported", [len(scalars)]), means)
    return dict(zip(scalars, tf.unstack(kept, num=len(scalars))))


def _local(name: str, shape: List[int]) -> Any:
    """A float32 variable of this session alone, 0 at first."""
    return tf.get_variable(name, shape, tf.float32, initializer=tf.zeros_initializer(), trainable=False,
                           collections=[tf.GraphKeys.LOCAL_VARIABLES])


def _counted(update: Any, also: List[Tensor]) -> Tensor:
    # The step counts batches drawn, also where an update is skipped: the data position follows it.
    with tf.control_dependencies([update] + also):
        return tf.assign_add(tf.train.get_or_create_global_step(), 1).op


def _scaffold(run: Run, restored: Optional[Mapping[str, Tuple[int, ...]]]) -> tf.train.Scaffold:
    """How variables get their values. What a changed run has more than its checkpoint begins anew.

    Raises:
        UserError: the checkpoint lacks variables, and no change was meant.
    """
    saver = _saver(tf.global_variables())
    tf.add_to_collection(tf.GraphKeys.SAVERS, saver)
    new = [variable for variable in tf.global_variables() if restored is not None and
           restored.get(variable.op.name) != tuple(variable.shape.as_list())]
    if not new:
        # No variable of a session's own begins with the value of another; that all have one is asked once, behind it.
        return tf.train.Scaffold(saver=saver, ready_for_local_init_op=tf.constant([], tf.string))
    if not run.settings.run.resume_with_changes:
        names = ", ".join(variable.op.name for variable in new[:3]) + (", ..." if len(new) > 3 else "")
        raise UserError(f"the checkpoint lacks {len(new)} variables of this run ({names})",
                        "a checkpoint that this run wrote", "restore the run's own checkpoints, or add "
                        "--resume_with_changes to begin with new ones")
    known = [variable for variable in tf.global_variables() if variable not in new]
    begin = tf.group(tf.train.Scaffold.default_local_init_op(), tf.variables_initializer(new))
    return tf.train.Scaffold(saver=_saver(known), local_init_op=begin,
                             ready_for_local_init_op=tf.report_uninitialized_variables(known))


def _saver(variables: List[Any]) -> tf.train.Saver:
    """Paths relative to the directory, so that a run can be moved; what is kept is decided elsewhere."""
    return tf.train.Saver(variables, max_to_keep=None, save_relative_paths=True)


def _pictures(run: Run, features: Dict[str, Tensor], outputs: Outputs) -> Dict[str, Tensor]:
    image = (run.feeding.shown(features["image"], training=True) + 1.0) * 127.5
    colours = tf.constant(run.dataset.spec.palette or [[0], [255]], tf.uint8)
    return {"image": tf.saturate_cast(image, tf.uint8), "label": tf.gather(colours, features["label"]),
            "prediction": tf.gather(colours, run.objective.predicted(outputs.logits))}
