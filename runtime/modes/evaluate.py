"""Evaluation: every image of the validation split once, over all ranks."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from datasets.base import VALIDATION
from datasets.pipeline import Share, evaluation_batches
from dllogger.logger import Logger, Verbosity
from objectives.options import AUTO
from runtime.assembly import Run, deciding
from runtime.checkpoints.directory import identity, require_same
from runtime.checkpoints.find import Checkpoint, checkpoint_directory, found_as
from runtime.diagnosis import not_finite_error
from runtime.model_fn import ModelFn, counting_fn, scored_fn
from runtime.modes.ensemble import Member, Pages, count_together, told
from runtime.modes.error_pictures import FOLDER, Scored, draw_error_pictures
from runtime.modes.explain import explain, problems
from runtime.modes.observer import second_observer, truth_of
from runtime.modes.output import make_room
from runtime.modes.say import say
from runtime.settings.tree import Settings
from utils.bootstrap import LEVEL, RESAMPLES, intervals
from utils.files import write_csv, write_json
from utils.metrics import best_threshold, ratio, trivial_scores, verdict_counts
from utils.progress import with_bar

FILE_NAME, TABLE = "evaluation.json", "evaluation.csv"
NAMES = (FILE_NAME, TABLE, FOLDER)


def evaluate(members: Sequence[Member], logger: Logger) -> Dict[str, Any]:
    """Score a checkpoint, or the mean of several runs', on the split that the data set evaluates on; the chief logs it
    and writes `evaluation.json` and a row for every image to `evaluation.csv`.

    Returns:
        What `score` gives, the extended scores that are asked for among them; "ensemble", the directories of several
        runs; "intervals", the lower and upper end of some scores over the draws of the "bootstrap" described beside;
        "warnings" where scores are bad, with what may have caused it; what `second_observer` gives as
        "second_observer", where there is one; and what `verdicts` gives as "verdicts", where images are judged. Where
        they are wanted and drawn after all is written, what `draw_error_pictures` gives as "error_pictures".

    Raises:
        UserError: a file of the split is missing, or the run was moved meanwhile.
    """
    run, checkpoint = members[0]
    model_dir = run.settings.run.model_dir
    begun = identity(model_dir)
    threshold = choose_threshold(run, checkpoint)
    run = deciding(run, threshold)
    members = [Member(run, checkpoint), *members[1:]]
    split = run.dataset.evaluation_split
    with told(members):
        counts = count(run, checkpoint, split, extended=True, others=members[1:])
        observer = second_observer(run, split)
    result = score(run, checkpoint, split, counts)
    result.update(_extended(run, counts, result))
    result["remarks"] += _known_images(members)
    result.update(_bootstrap(run, counts))
    if observer is not None:
        result["second_observer"] = _without_nan(observer)
    if len(members) > 1:
        result["ensemble"] = [member.run.settings.run.model_dir for member in members]
    found = problems(run, counts, result["scores"], result["trivial"])
    result["warnings"] = explain(run, counts, checkpoint, found)
    say(run.distributed, result["warnings"])
    if run.objective.judges_images:
        result["verdicts"] = _without_nan(verdicts(counts, 0.5 if threshold is None else threshold))
    if run.distributed.is_chief:
        logger.log(step=(), data=result["scores"], verbosity=Verbosity.DEFAULT)
        folder = evaluation_folder(run.settings)
        if run.settings.run.output is None:  # beside a run its newest evaluation counts
            require_same(model_dir, begun)
        else:
            make_room(run, folder, NAMES)
        write_csv(os.path.join(folder, TABLE), _table(run, split, counts, threshold))
        # Last: folds that are gone on with take it for the mark of an evaluation that is done.
        write_json(os.path.join(folder, FILE_NAME), result)
    if run.settings.prediction.error_pictures:
        scored = Scored(split, counts, next(iter(result["scores"])), threshold)
        result["error_pictures"] = draw_error_pictures(members, scored, evaluation_folder(run.settings))
    return result


def evaluation_folder(settings: Settings) -> str:
    """Where an evaluation goes: beside the run, where nothing else is said."""
    return settings.run.output if settings.run.output and not settings.predicts else settings.run.model_dir


def choose_threshold(run: Run, checkpoint: Checkpoint) -> Optional[float]:
    """The threshold that the settings give, or for "auto" the one that tells the validation images apart best.

    None where the likelier class counts.
    """
    if run.settings.objective.threshold != AUTO:
        return run.settings.objective.threshold  # type: ignore[return-value]
    with told([Member(run, checkpoint)]):
        counts = count(run, checkpoint, VALIDATION)
    threshold = best_threshold(counts["score"], counts["defective"] > 0.5)
    say(run.distributed, [_reason(threshold, verdicts(counts, threshold))])
    return threshold


def verdicts(counts: Mapping[str, np.ndarray], threshold: float) -> Dict[str, Any]:
    """What calling images defective above a threshold amounts to: "threshold", "TP", "TN", "FP", "FN" in images, the
    rates "TPR" and "TNR" (NaN where there is no such image).
    """
    found, cleared, alarms, missed = verdict_counts(
        counts["score"].astype(np.float64), counts["defective"] > 0.5, [threshold])
    return {"threshold": threshold, "TP": int(found[0]), "TN": int(cleared[0]), "FP": int(alarms[0]),
            "FN": int(missed[0]), "TPR": float(ratio(found, found + missed)[0]),
            "TNR": float(ratio(cleared, cleared + alarms)[0])}


def _reason(threshold: float, reached: Mapping[str, Any]) -> str:
    images = sum(reached[name] for name in ("TP", "TN", "FP", "FN"))
    if math.isnan(reached["TPR"]) or math.isnan(reached["TNR"]):
        return f"threshold {threshold:.4f}: the {images} validation images are all of one kind and say nothing about it"
    return (f"threshold {threshold:.4f}, from {images} validation images: finds {reached['TPR']:.1%} of the defective, "
            f"clears {reached['TNR']:.1%} of the others")


def score(run: Run, checkpoint: Checkpoint, split: str, counts: Mapping[str, np.ndarray]) -> Dict[str, Any]:
    """The scores of one checkpoint on a split, from what `count` gave.

    Returns:
        "scores" by name, "trivial" scores of predictions without training, the "per_image" headline score by id,
        "remarks" about them, the "protocol" they were made by, with which "precision", of which "step" and "checkpoint"
        (newest or best), and what they were measured on. A score that is not defined is None.
    """
    options = run.settings.run
    result = {"scores": run.objective.scores(counts),
              "trivial": trivial_scores(counts["histogram"], run.dataset.spec.class_names,
                                        run.objective.hard_score),
              "per_image": _per_image(run, split, counts), "step": checkpoint.step, "split": split,
              "checkpoint": found_as(options.model_dir, options.checkpoint, checkpoint),
              "precision": run.device.precision,
              "remarks": list(run.objective.remarks), "protocol": protocol(run), **run.data_record()}
    return _without_nan(result)


def _extended(run: Run, counts: Mapping[str, np.ndarray], result: Mapping[str, Any]) -> Dict[str, Any]:
    """The "scores" and "remarks" of a result with those of whole probability maps behind them."""
    extended = run.objective.extended
    if extended is None:
        return {}
    return {"scores": {**result["scores"], **_without_nan(extended.scores(counts))},
            "remarks": [*result["remarks"], *extended.remarks]}


def _known_images(members: Sequence[Member]) -> List[str]:
    """What must be known of scores because of the images that they are of, a line each."""
    return [f"{member.run.settings.run.model_dir}: {line}" if len(members) > 1 else line
            for member in members for line in member.run.dataset.score_remarks()]


def _bootstrap(run: Run, counts: Mapping[str, np.ndarray]) -> Dict[str, Any]:
    """The "intervals" of scores over the images, and the "bootstrap" that they are of."""
    extended, seed = run.objective.extended, run.settings.training.seed

    def scores(drawn: Mapping[str, np.ndarray]) -> Dict[str, float]:
        return {**run.objective.resampled_scores(drawn), **(extended.scores(drawn) if extended else {})}

    found = intervals(scores, counts, seed)
    return {"intervals": {name: [_without_nan(end) for end in ends] for name, ends in found.items()},
            "bootstrap": {"over": "images", "resamples": RESAMPLES, "level": LEVEL, "seed": seed}}


def protocol(run: Run) -> Dict[str, Any]:
    """The settings that decide how a trained network's scores are made, and which, by name."""
    values = run.settings.values()
    names = ["feeding", "threshold", "fov", "tta"] + ["tta_scales"] * bool(values["tta_scales"])
    if values["feeding"] == "native_crops":
        names += ["inference", "window_stride", "blending"]
        names += ["window_size"] * (values["window_size"] is not None and values["inference"] == "slide")
    names += ["pruning_level", "head_mode"] if len(run.network.levels) > 1 else []
    names += ["extended_scores"] * (values["extended_scores"] is not None)
    return {name: values[name] for name in names}


def made(run: Run) -> Dict[str, Any]:
    """How an evaluation of this run is made, as JSON has it: scores of the same alone are compared."""
    data = run.settings.data
    found = {"dataset": data.dataset, "fold": run.fold, "split_rule": data.split_rule}
    alike: Dict[str, Any] = json.loads(json.dumps({**found, "protocol": protocol(run)}))
    return alike


def count(run: Run, checkpoint: Checkpoint, split: str, extended: bool = False,
          others: Sequence[Member] = ()) -> Dict[str, np.ndarray]:
    """What scores are computed from, for every image of a split, in its order; over all ranks, and averaged with what
    others predict.

    With `extended` also what the extended scores are computed from, where the objective has any.

    Raises:
        UserError: a prediction is not finite; the text names the image.
    """
    images, share, members = len(run.dataset.ids(split)), run.share, [Member(run, checkpoint), *others]
    if share.rank < images:
        mine = _count(members, split, share, extended)
    else:
        # A rank without an image of its own looks at the first, to learn the shapes, and counts nothing.
        first = dataclasses.replace(run.share, batch_size=1, rank=0, size=images)
        spare = _count(members, split, first, extended)
        mine = {name: array[:0] for name, array in spare.items()}
    gathered = {name: run.distributed.gather(array) for name, array in sorted(mine.items())}
    order = np.argsort(gathered["index"])
    counts = {name: array[order] for name, array in gathered.items()}
    for index in counts["index"][~counts.pop("finite")][:1]:
        raise not_finite_error(run.dataset.ids(split)[index])
    return counts


def _count(members: Sequence[Member], split: str, share: Share, extended: bool) -> Dict[str, np.ndarray]:
    """The counts of the images of one share; it holds one at least."""
    run = members[0].run
    with_maps = extended and run.objective.extended is not None

    def predict(member: Member) -> Pages:
        make = scored_fn if len(members) > 1 else counting_fn
        return _batches(member, make(member.run, split, with_maps), split, share)

    # Its graph is the current one until it is closed, whatever ends this.
    with contextlib.closing(count_together(members, predict) if len(members) > 1 else predict(members[0])) as found:
        # Each batch's maps are gone before the next one comes.
        batches = [_without_maps(run, split, batch) for batch in with_bar(found, "evaluate", run.distributed.is_chief)]
    # What fills up the last batch comes behind the images.
    images = len(range(share.rank, len(run.dataset.ids(split)), share.size))
    return {name: np.concatenate([batch[name] for batch in batches])[:images] for name in batches[0]}


def _without_maps(run: Run, split: str, batch: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """A batch of counts, in which the maps have become what the extended scores are computed from."""
    counts = {name: array for name, array in batch.items() if name != "map"}
    if run.objective.extended is not None and "map" in batch:
        ids = run.dataset.ids(split)
        rows = [run.objective.extended.counts(probability, truth_of(run.dataset.read(ids[index])))
                for probability, index in zip(batch["map"], batch["index"])]
        counts.update({name: np.stack([row[name] for row in rows]) for name in rows[0]})
    return counts


def _batches(member: Member, model_fn: ModelFn, split: str, share: Share) -> Pages:
    """What a `model_fn` of a member's run predicts of every batch of a share."""
    run = member.run
    directory = checkpoint_directory(run.settings.run.model_dir)
    estimator = run.device.estimator(model_fn, directory, run.settings.training.seed)
    return estimator.predict(lambda: evaluation_batches(run.dataset, split, run.feeding, share),
                             checkpoint_path=member.checkpoint.path, yield_single_examples=False)


def _table(run: Run, split: str, counts: Mapping[str, np.ndarray], threshold: Optional[float]) -> List[Dict[str, Any]]:
    """A row for every image: its file, its verdict where images are judged, and what else is told of it."""
    columns = dict(run.objective.table(counts))
    if run.objective.extended is not None:
        columns.update(run.objective.extended.table(counts))
    if run.objective.judges_images:
        scores = columns["score"].astype(np.float64)
        called = scores > (0.5 if threshold is None else threshold)
        columns["verdict"] = np.where(np.isnan(scores), None, called)  # type: ignore[call-overload]
    ids = run.dataset.ids(split)
    return [{"file": ids[image], **{name: values[row:row + 1].tolist()[0] for name, values in columns.items()}}
            for row, image in enumerate(counts["index"])]


def _per_image(run: Run, split: str, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
    ids = run.dataset.ids(split)
    return {ids[index]: float(value) for index, value in zip(counts["index"], run.objective.per_image(counts))}


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: a score that is not defined is null."""
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
