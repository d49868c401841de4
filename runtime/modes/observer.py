"""What a second person scores against the first on the same images: how far labels themselves agree."""

from __future__ import annotations

from typing import Any, Dict, Optional

import numpy as np

from datasets.base import Sample
from objectives.extended import REGION, Truth
from runtime.assembly import Run
from utils.metrics import confusion_of


def truth_of(sample: Sample) -> Truth:
    """What a labelled image should have given."""
    label = np.asarray(sample.label)
    valid = np.ones(label.shape, np.bool_) if sample.valid is None else sample.valid
    return Truth(label, valid, sample.region)


def second_observer(run: Run, split: str) -> Optional[Dict[str, Any]]:
    """The scores of the second observer's labels, taken for predictions of the images of a split.

    They are those of the objective that masks can have, and the extended ones, by the same rules and at the images' own
    size; what either observer leaves out does not count.

    Returns:
        "images" that have such a label, and their "scores"; None where there is none.

    Raises:
        UserError: a label cannot be decoded.
    """
    pairs = ((name, run.dataset.second_reading(name)) for name in run.dataset.ids(split))
    found = [_counts(run, name, second) for name, second in pairs if second is not None]
    if not found:
        return None
    counts = {name: np.stack([each[name] for each in found]) for name in found[0]}
    confusions = {end: counts["confusion" + end] for end in ("", REGION) if "confusion" + end in counts}
    scores = run.objective.mask_scores(confusions)
    if run.objective.extended is not None:
        scores.update(run.objective.extended.scores(counts))
    return {"images": len(found), "scores": scores}


def _counts(run: Run, sample_id: str, second: Sample) -> Dict[str, np.ndarray]:
    """What scores of masks are computed from, for one image."""
    first, other = truth_of(run.dataset.read(sample_id)), truth_of(second)
    truth = first._replace(valid=first.valid & other.valid)
    masks = {"": truth.valid}
    if truth.region is not None:
        masks[REGION] = truth.valid & truth.region
    counts = {"confusion" + end: confusion_of(truth.label, other.label, mask, run.dataset.spec.classes)
              for end, mask in masks.items()}
    if run.objective.extended is not None:
        counts.update(run.objective.extended.counts(other.label.astype(np.float32), truth))
    return counts
