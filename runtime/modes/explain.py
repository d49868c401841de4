"""Why an evaluation may be bad: what was found, the probable cause, and all that was looked at.

Each cause is measured, from the labels, the images, the log and the predictions, and is told whether or not it looks
guilty, so that what is ruled out can be seen too.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from datasets.base import TRAIN
from dllogger.logger import JSON_PREFIX
from runtime.assembly import Run
from runtime.checkpoints.find import Checkpoint
from runtime.journal import CONFIGURATION, log_path
from utils.errors import UserError
from utils.metrics import GREY_LEVELS

RARE = 0.1
"""A class with a smaller share of the pixels is easily ignored by a network."""
FEW_EPOCHS = 5
HIGH_LEARNING_RATE = 1e-2
CERTAIN_SHARE = 0.99
"""Of pixels whose class is all but certain to the network."""
FEWEST_RECORDS = 6
"""Records of the loss that say something about its course."""
FLAT, FALLING, DIVERGED = 0.02, 0.01, 1.5
"""Changes of the loss: less than the first from its beginning to its end; more than the second within its last part;
beyond this multiple of its beginning."""
LOOKED_AT = 8
"""Training images that the evaluated ones are compared with."""


class Evidence(NamedTuple):
    """One thing that was looked at.

    Attributes:
        text: what was measured.
        advice: what to try, where it looks guilty; else empty.
    """

    text: str
    advice: str = ""


def problems(run: Run, counts: Mapping[str, np.ndarray], scores: Mapping[str, Any],
             trivial: Mapping[str, Any]) -> List[str]:
    """What is wrong with an evaluation, worst first; nothing where it is an ordinary one.

    Args:
        run: the run.
        counts: of every image, as `Objective.counts`.
        scores: of the split; the first is the headline.
        trivial: what predictions without training reach in it.
    """
    names = run.dataset.spec.class_names
    confusion = run.objective.confusion(counts)
    predicted, there = confusion.sum(axis=0) > 0, confusion.sum(axis=1) > 0
    found = []
    if predicted.sum() == 1:
        found.append(f"every pixel of all {len(counts['index'])} images was predicted as "
                     f"{names[int(np.argmax(predicted))]}")
    elif (there & ~predicted).any():
        never = [name for name, one, other in zip(names, there, predicted) if one and not other]
        found.append(f"no pixel was predicted as {' or '.join(never)}, which the labels have")
    headline, value = next(iter(scores.items()))
    constant = {name: score for name, score in trivial.items() if name.startswith("all ") and score is not None}
    if constant and value is not None and value < max(constant.values()):
        best = max(constant, key=lambda name: constant[name])
        found.append(f"{headline} {value:.4f} is below the {constant[best]:.4f} of predicting {best}")
    return found


def explain(run: Run, counts: Mapping[str, np.ndarray], checkpoint: Checkpoint, found: List[str]) -> List[str]:
    """Lines about the problems that were found; none where there are none."""
    if not found:
        return []
    looked_at = list(_evidence(run, counts, checkpoint))
    guilty = [each for each in looked_at if each.advice]
    lines = [f"warning: {problem}" for problem in found]
    if guilty:
        lines.append(f"  probable cause: {guilty[0].text}; {guilty[0].advice}")
    lines.append("  what was looked at:")
    return lines + [f"    {text}{'; ' * bool(advice)}{advice}" for text, advice in looked_at]


def _evidence(run: Run, counts: Mapping[str, np.ndarray], checkpoint: Checkpoint) -> Iterator[Evidence]:
    """In the order in which causes are believed."""
    losses = _losses(run, checkpoint)
    confusion = run.objective.confusion(counts)
    shares = dict(zip(run.dataset.spec.class_names, confusion.sum(axis=1) / max(confusion.sum(), 1)))
    yield from _missing_classes(shares)
    yield from _course(losses, _longer(run, checkpoint))
    yield from _range(run, counts)
    yield from _certainty(counts)
    yield _passes(run, checkpoint)
    yield _learning_rate(run)
    yield _balance(shares)
    yield from (Evidence(f"data: {remark}") for remark in run.dataset.remarks(run.splits))


def _missing_classes(shares: Mapping[str, float]) -> Iterator[Evidence]:
    missing = [name for name, share in shares.items() if share == 0.0]
    if missing:
        yield Evidence(f"no pixel of the labels is {' or '.join(missing)}", "check the values of the masks")


def _longer(run: Run, checkpoint: Checkpoint) -> str:
    """How to train longer: what has come to a standstill does not go on."""
    still = run.settings.training.standstill
    return "--resume_training with" if still is None or still > checkpoint.step else "a new run with"


def _course(losses: List[float], longer: str) -> Iterator[Evidence]:
    if not losses:
        return
    part = max(1, len(losses) // 5)
    first, last = float(np.mean(losses[:part])), float(np.mean(losses[-part:]))
    text = f"loss: {first:.4g} at first, {last:.4g} at the end, in {len(losses)} records"
    if not np.isfinite(losses).all() or (first > 0 and last > DIVERGED * first):
        yield Evidence(text + ", diverged", "lower --learning_rate by a factor of ten")
    elif len(losses) < FEWEST_RECORDS:
        yield Evidence(text)
    elif abs(first - last) < FLAT * abs(first):
        yield Evidence(text + ", flat", "raise --learning_rate by a factor of three, look at an image with its mask")
    elif float(np.mean(losses[-2 * part:-part])) - last > FALLING * abs(last):
        yield Evidence(text + ", still falling", f"train longer ({longer} a larger --max_steps)")
    else:
        yield Evidence(text)


def _losses(run: Run, checkpoint: Checkpoint) -> List[float]:
    """The total loss of every logged step up to the checkpoint, its last record; none where there is no log.

    Of a log that runs of several directories have in common, what stands behind the settings of this one; of a
    directory whose runs were overwritten, the last.
    """
    try:
        with open(log_path(run.settings), encoding="utf-8", errors="replace") as stream:
            records = [_record(line) for line in stream]
    except OSError:
        return []
    places = {record["data"]["model_dir"] for record in records if _is_configuration(record)}
    model_dir, is_own = os.path.abspath(run.settings.run.model_dir), len(places) < 2
    found: Dict[int, float] = {}
    for record in records:
        if _is_configuration(record):
            settings = record["data"]
            is_own = len(places) < 2 or os.path.abspath(settings["model_dir"]) == model_dir
            begins = TRAIN in settings.get("exec_mode", "") and not settings.get("resume_training")
            found = {} if is_own and begins else found
        step, loss = _logged(record)
        if is_own and loss is not None and step <= checkpoint.step:
            found[step] = loss
    return [found[step] for step in sorted(found)]


def _is_configuration(record: Mapping[str, Any]) -> bool:
    return record.get("step") == CONFIGURATION and "model_dir" in record["data"]


def _record(line: str) -> Dict[str, Any]:
    try:
        return dict(json.loads(line[len(JSON_PREFIX):])) if line.startswith(JSON_PREFIX) else {}
    except (ValueError, TypeError):  # one that a killed run left half written
        return {}


def _logged(record: Mapping[str, Any]) -> Tuple[int, Optional[float]]:
    try:
        return int(record["step"][0]), float(record["data"]["train_total_loss"])
    except (ValueError, KeyError, IndexError, TypeError):  # another record
        return 0, None


def _range(run: Run, counts: Mapping[str, np.ndarray]) -> Iterator[Evidence]:
    here = _moments(np.sum(counts["histogram"], axis=(0, 1), dtype=np.float64))
    trained = _training_histogram(run)
    if trained is None or not counts["histogram"].any():
        return
    there = _moments(trained)
    text = (f"grey levels: {here[0]:.0f} +- {here[1]:.0f} in the evaluated images, {there[0]:.0f} +- {there[1]:.0f} in "
            f"{LOOKED_AT} training images at most, of 255")
    apart = abs(here[0] - there[0]) > 2.0 * max(there[1], 1.0)
    scaled = max(here[1], 1.0) / max(there[1], 1.0)
    far = apart or not 1.0 / 3.0 < scaled < 3.0
    yield Evidence(text, "these images are not like those it was trained on: same bit depth, same staining or exposure?"
                   if far else "")


def _training_histogram(run: Run) -> Optional[np.ndarray]:
    """Grey levels of the first training images; None where they are not here, which an evaluation does not need."""
    total = np.zeros(GREY_LEVELS, np.int64)
    try:
        for sample_id in list(run.dataset.ids(TRAIN))[:LOOKED_AT]:
            image = run.dataset.read(sample_id).image
            grey = image.mean(axis=-1) if image.dtype == np.uint8 else (image.mean(axis=-1) + 1.0) * 127.5
            total += np.bincount(np.clip(np.rint(grey), 0, GREY_LEVELS - 1).astype(np.int64).ravel(),
                                 minlength=GREY_LEVELS)
    except (UserError, OSError):
        return None
    return total


def _moments(histogram: np.ndarray) -> Tuple[float, float]:
    levels, total = np.arange(GREY_LEVELS), max(histogram.sum(), 1)
    mean = float((histogram * levels).sum() / total)
    return mean, math.sqrt(float((histogram * (levels - mean) ** 2).sum() / total))


def _certainty(counts: Mapping[str, np.ndarray]) -> Iterator[Evidence]:
    share = float(np.mean(counts["certain"]))
    yield Evidence(f"certainty: {share:.1%} of the pixels have a class with a probability above 0.999",
                   "the logits are saturated: lower --learning_rate, or raise --weight_decay"
                   if share > CERTAIN_SHARE else "")


def _passes(run: Run, checkpoint: Checkpoint) -> Evidence:
    text = f"training: {checkpoint.step} steps"
    try:
        epochs = checkpoint.samples / len(run.dataset.ids(TRAIN))
    except UserError:  # an evaluation does not need the training images, and they are not here
        return Evidence(text)
    return Evidence(f"{text}, {epochs:.1f} passes over the training images",
                    "few: train longer (--max_steps)" if epochs < FEW_EPOCHS else "")


def _learning_rate(run: Run) -> Evidence:
    rate = run.settings.training.learning_rate
    return Evidence(f"learning rate: {rate:g}", "high: lower --learning_rate" if rate >= HIGH_LEARNING_RATE else "")


def _balance(shares: Mapping[str, float]) -> Evidence:
    text = "labels: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    rare = [name for name, share in shares.items() if 0.0 < share < RARE]
    return Evidence(text, f"{' and '.join(rare)} is rare, which a network easily ignores: train longer" if rare else "")
