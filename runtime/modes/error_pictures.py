"""What an evaluation got right and wrong, to be looked at: the best, the median and the worst image."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from runtime.modes.ensemble import Member, Pages, averaged, decided, pages_of, told
from runtime.modes.observer import truth_of
from runtime.modes.results import eight_bit
from utils.error_picture import error_picture, judged, meaning, painted
from utils.files import replacing

FOLDER = "evaluation_pictures"
BEST, MEDIAN, WORST = "best", "median", "worst"


class Scored(NamedTuple):
    """What was found out about a split.

    Attributes:
        split: its name.
        counts: of its images, as `Objective.counts`.
        headline: the name of the score that images are ordered by.
        threshold: above which a pixel, and an image, is the second of two classes; None for the likelier class.
    """

    split: str
    counts: Mapping[str, np.ndarray]
    headline: str
    threshold: Optional[float]


def draw_error_pictures(members: Sequence[Member], scored: Scored, folder: str) -> Dict[str, str]:
    """Write a picture of the best, the median and the worst image to `FOLDER` in `folder`; these alone are predicted
    once more, one by one. The chief works alone.

    Returns:
        The image that each of them shows, by its id; none where no image has a score of its own.

    Raises:
        UserError: an image cannot be read any more, or nothing can be written.
    """
    run, ids = members[0].run, members[0].run.dataset.ids(scored.split)
    values = run.objective.per_image(scored.counts)
    rows = chosen_rows(values, _eventful(members[0], scored.counts))

    def draw() -> None:
        with told(members):
            _draw(members, scored, rows, folder)

    if rows:
        run.distributed.on_chief(draw)
    return {role: ids[scored.counts["index"][row]] for role, row in rows.items()}


def chosen_rows(values: np.ndarray, eventful: np.ndarray) -> Dict[str, int]:
    """The rows of the best, the median (the lower of two) and the worst of some scores, by these words.

    Args:
        values: float [images]; NaN is no score.
        eventful: bool [images], those that are drawn from where there are any.
    """
    known = np.isfinite(values)
    rows = np.flatnonzero(known & eventful) if (known & eventful).any() else np.flatnonzero(known)
    order = rows[np.argsort(values[rows], kind="stable")].tolist()
    return {BEST: order[-1], MEDIAN: order[(len(order) - 1) // 2], WORST: order[0]} if order else {}


def _eventful(member: Member, counts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Whether there is more than the first class in an image, by its label or by what was predicted."""
    images = len(counts["index"])
    confusions = [member.run.objective.confusion({name: array[row:row + 1] for name, array in counts.items()})
                  for row in range(images)]
    return np.array([confusion.sum() > confusion[0, 0] for confusion in confusions], np.bool_)


def _draw(members: Sequence[Member], scored: Scored, rows: Mapping[str, int], folder: str) -> None:
    run = members[0].run
    ids, indices = run.dataset.ids(scored.split), scored.counts["index"]
    wanted = sorted(set(rows.values()))

    def predict(member: Member) -> Pages:
        return pages_of(member, scored.split, [int(indices[row]) for row in wanted])

    # Its graph is the current one until it is closed, whatever ends this.
    with contextlib.closing(averaged(members, predict)) as pages:
        for row, page in zip(wanted, pages):
            sample = run.dataset.read(ids[indices[row]])
            truth = truth_of(sample)
            kinds = judged(decided(page, scored.threshold), truth.label, truth.valid, run.dataset.spec.classes)
            pixels = painted(eight_bit(sample.image), kinds)
            legend = meaning(run.dataset.spec.class_names, kinds)
            for role in [role for role, own in rows.items() if own == row]:
                lines = [ids[indices[row]], *_caption(members[0], scored, role, row)]
                with replacing(os.path.join(folder, FOLDER, f"{role}.png")) as temporary:
                    error_picture(pixels, lines, legend).save(temporary, format="PNG")


def _caption(member: Member, scored: Scored, role: str, row: int) -> List[str]:
    objective, counts = member.run.objective, scored.counts
    value = float(objective.per_image({name: array[row:row + 1] for name, array in counts.items()})[0])
    images = len(counts["index"])
    lines = [f"the {role} of {images} image{'s' * (images > 1)}, after {member.checkpoint.step} steps: "
             f"{scored.headline} of this image alone {value:.4f}"]
    if objective.judges_images:
        threshold = 0.5 if scored.threshold is None else scored.threshold
        score = float(counts["score"][row])
        lines.append(f"found {_verdict(score > threshold)}: score {score:.4f}, threshold {threshold:.4g}; labelled "
                     f"{_verdict(counts['defective'][row] > 0.5)}")
    return lines


def _verdict(defective: Any) -> str:
    return "defective" if defective else "sound"
