"""The `dataset.json` beside a run: what was found out by looking at its data when it began."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Dict, Mapping, Optional

import numpy as np

from datasets.base import FACTS
from runtime.distributed.base import Distributed
from runtime.settings.saved import FILE_NAME as SETTINGS
from utils.errors import UserError
from utils.files import read_json, write_json


def save_facts(facts: Optional[Mapping[str, Any]], model_dir: str) -> None:
    """Write what `Dataset.facts` gave; nothing where there is nothing to keep."""
    if facts is not None:
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


def require_agreement(distributed: Distributed, facts: Optional[Mapping[str, Any]]) -> None:
    """Make sure that all ranks have found out the same.

    Raises:
        UserError: they have not: their directories hold different data.
    """
    if facts is None or distributed.place.size == 1:
        return
    text = json.dumps(facts, sort_keys=True).encode("utf-8")
    own = np.frombuffer(hashlib.sha256(text).digest()[:8], np.int64)
    if len(set(distributed.gather(own).tolist())) > 1:
        raise UserError("the ranks of this run see different data", "the same images and masks on every host",
                        "copy the data anew, or put it where all hosts reach it")
