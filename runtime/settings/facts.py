"""The `dataset.json` beside a run: what was found out by looking at its data when it began, or which images there were.

Where nothing has to be found out, the images that the training part and the validation part held are kept: folds are
cut from what a directory holds, so that an image which is added later moves others from one part to the other.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import Any, Dict, Mapping, Optional, Sequence, Set

import numpy as np

from datasets.base import FACTS, TRAIN, VALIDATION, Dataset
from datasets.options import PHANTOM
from runtime.distributed.base import Distributed
from runtime.settings.saved import FILE_NAME as SETTINGS
from utils.errors import UserError
from utils.files import read_json, write_json

DATA, IMAGES, EARLIER = "data", "images", "earlier"


def facts_of(dataset: Dataset, label: str, before: Optional[Mapping[str, Any]] = None) -> Mapping[str, Any]:
    """What a run keeps of its data.

    Args:
        dataset: its data.
        label: what names it in every later command.
        before: what this gave when the run began, of one that goes on with other data on purpose.

    Returns:
        What `Dataset.facts` gives; where that is nothing, the label, the ids of the splits that can be read, and those
        that trained the run before and do so no more.
    """
    found = dataset.facts()
    if found is not None:
        return found
    images: Dict[str, Sequence[str]] = {}
    for split in (TRAIN, VALIDATION):
        with contextlib.suppress(UserError):  # not there, or no fold validates
            images[split] = list(dataset.ids(split))
    # Pictures of the synthetic set are not those that bear their names now.
    synthetic = (before or {}).get(DATA) == PHANTOM != label
    earlier = [] if synthetic else sorted(_trained(before) - set(images.get(TRAIN, ())))
    return {DATA: label, IMAGES: images, **({EARLIER: earlier} if earlier else {})}


def _trained(facts: Optional[Mapping[str, Any]]) -> Set[str]:
    return set() if facts is None else {*facts.get(IMAGES, {}).get(TRAIN, ()), *facts.get(EARLIER, ())}


def require_unmoved(dataset: Dataset, facts: Optional[Mapping[str, Any]], splits: Sequence[str], label: str) -> None:
    """Make sure that a run goes on with the images that it began with, and scores none that have trained it.

    Args:
        dataset: the data of a later command.
        facts: what `facts_of` gave when the run began, if anything.
        splits: those that the command needs.
        label: what names that data.

    Raises:
        UserError: the data has changed meanwhile, and so that one of these would not hold.
    """
    began = {} if facts is None else facts.get(IMAGES, {})
    if facts is None or TRAIN not in began:
        return
    trained = began[TRAIN]
    if TRAIN in splits and list(dataset.ids(TRAIN)) != trained:
        raise _moved(f"{len(dataset.ids(TRAIN))} training images, others than the {len(trained)} that the run began "
                     "with", label)
    # Another directory may hold other images of the same names.
    if VALIDATION in splits and label == facts.get(DATA):
        # What a split rule has in both parts stays there.
        known = set(trained) - set(began.get(VALIDATION, ())) | set(facts.get(EARLIER, ()))
        scored = [image for image in dataset.ids(VALIDATION) if image in known]
        if scored:
            raise _moved(f"{len(scored)} of the images that would be scored have trained the network ({scored[0]}"
                         f"{', ...' * (len(scored) > 1)}): the data was other when the run began", label)


def _moved(found: str, label: str) -> UserError:
    return UserError(f"{label}: {found}", "the images of the beginning, since folds are cut from what is there",
                     "remove what was added since, or put back what is gone, or begin another run")


def save_facts(facts: Mapping[str, Any], model_dir: str) -> None:
    """Write what `facts_of` gave."""
    write_json(os.path.join(model_dir, FACTS), facts)


def load_facts(model_dir: str, needed: bool) -> Optional[Dict[str, Any]]:
    """What `save_facts` wrote; None where no run has begun in `model_dir`, or it had nothing to keep.

    Args:
        model_dir: of the run.
        needed: whether a run on such data always has some.

    Raises:
        UserError: a run that needs them has lost them, or they cannot be read.
    """
    path = os.path.join(model_dir, FACTS)
    if not os.path.lexists(path):
        if needed and os.path.isfile(os.path.join(model_dir, SETTINGS)):
            raise UserError(f"{path}: no such file", "what was found out about the data when the run began",
                            "restore the file")
        return None
    try:
        facts = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}", "what was found out about the data, as JSON", "restore the file") from error
    if not isinstance(facts, dict):
        raise UserError(f"{path}: {type(facts).__name__}", "a JSON object", "restore the file")
    return facts


def require_agreement(distributed: Distributed, dataset: Dataset, phantom: bool, device: str) -> None:
    """Make sure that all ranks see the same images, and compute alike.

    Args:
        distributed: the ranks.
        dataset: what this one sees; its directory may have another name than those of the others.
        phantom: whether that is the synthetic set.
        device: what this one computes with, and how.

    Raises:
        UserError: they do not.
    """
    if distributed.place.size == 1:
        return
    if _differ(distributed, facts_of(dataset, PHANTOM if phantom else "")):
        raise UserError("the ranks of this run see different data", "the same images and masks on every host",
                        "copy the data anew, or put it where all hosts reach it, and name it with --data_dir")
    if _differ(distributed, device):
        raise UserError(f"ranks of this run compute in another way than this one, with {device}",
                        "one kind of device and one precision for all", "say which with --device, --use_amp or "
                        "--no-use_amp, and look why a host cannot")


def _differ(distributed: Distributed, found: Any) -> bool:
    text = json.dumps(found, sort_keys=True).encode("utf-8")
    own = np.frombuffer(hashlib.sha256(text).digest()[:8], np.int64)
    return len(set(distributed.gather(own).tolist())) > 1
