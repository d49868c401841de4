"""What a run keeps of its data."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Mapping, Optional, Sequence

import numpy as np
import pytest

from runtime.settings.facts import facts_of, load_facts, require_agreement, require_unmoved, save_facts
from utils.errors import UserError

TRAIN, VALIDATION = "train", "validation"


class Data:
    """Ids by split; those of a split that is not there cannot be had."""

    def __init__(self, train: Optional[str], validation: Optional[str] = None, found: Any = None) -> None:
        self._ids = {TRAIN: train, VALIDATION: validation}
        self._found = found

    def ids(self, split: str) -> Sequence[str]:
        ids = self._ids[split]
        if ids is None:
            raise UserError(f"no {split} part", "one", "fetch it")
        return list(ids)

    def facts(self) -> Optional[Mapping[str, Any]]:
        return self._found


def kept(data: Any, tmp_path: Any) -> Any:
    """The facts of a run that began with `data` at /data, as a later command has them."""
    save_facts(facts_of(data, "/data"), str(tmp_path))
    return load_facts(str(tmp_path), needed=False)


def later(data: Any, facts: Any, *splits: str, label: str = "/data") -> None:
    require_unmoved(data, facts, splits, label)


def test_the_images_of_each_part_are_kept_where_nothing_else_was_found_out(tmp_path):
    assert kept(Data("abc", "d"), tmp_path) == {"data": "/data", "images": {TRAIN: ["a", "b", "c"], VALIDATION: ["d"]}}
    assert kept(Data("abc"), tmp_path) == {"data": "/data", "images": {TRAIN: ["a", "b", "c"]}}
    assert kept(Data("abc", "d", {"classes": 2}), tmp_path) == {"classes": 2}


@pytest.mark.parametrize("now", ["abcd", "ab", "abx", "bac"])
def test_training_goes_on_with_the_same_images_in_the_same_order_alone(tmp_path, now):
    facts = kept(Data("abc", "d"), tmp_path)
    later(Data("abc", "xy"), facts, TRAIN)
    for label in ("/data", "/moved"):
        with pytest.raises(UserError, match="others than the 3 that the run began with"):
            later(Data(now, "d"), facts, TRAIN, label=label)
    later(Data(now, "d"), facts, VALIDATION)


def test_no_image_is_scored_that_has_trained_the_network(tmp_path):
    facts = kept(Data("abc", "d"), tmp_path)
    later(Data("ab", "dxyz"), facts, VALIDATION)
    with pytest.raises(UserError, match=r"2 of the images that would be scored have trained the network \(b, \.\.\.\)"):
        later(Data(None, "bcd"), facts, VALIDATION)
    later(Data(None, "bcd"), facts, VALIDATION, label="/others")
    later(Data(None, "bcd"), facts, "test")


def test_what_a_split_rule_both_trains_and_scores_stays(tmp_path):
    later(Data("abc", "cd"), kept(Data("abc", "cd"), tmp_path), TRAIN, VALIDATION)


@pytest.mark.parametrize("facts", [None, {"classes": 2}, {"data": "/data", "images": {}}])
def test_runs_that_have_kept_none_go_on(facts):
    later(Data("abc", "d"), facts, TRAIN, VALIDATION)


def test_what_trained_before_is_not_forgotten_when_a_run_goes_on_with_others(tmp_path):
    """Which it does on purpose alone."""
    began = kept(Data("abc", "d"), tmp_path)
    changed = facts_of(Data("xbz", "c"), "/other", began)
    assert changed == {"data": "/other", "images": {TRAIN: ["x", "b", "z"], VALIDATION: ["c"]}, "earlier": ["a", "c"]}
    assert facts_of(Data("a"), "/other", changed)["earlier"] == ["b", "c", "x", "z"]
    later(Data("xbz", "d"), changed, TRAIN, VALIDATION, label="/other")
    with pytest.raises(UserError, match=r"1 of the images that would be scored have trained the network \(c\)"):
        later(Data(None, "cd"), changed, VALIDATION, label="/other")


def test_names_of_the_synthetic_set_are_those_of_other_pictures(tmp_path):
    before = facts_of(Data("abc", "d"), "phantom")
    later(Data("ab", "cd"), facts_of(Data("ab", "cd"), "/data", before), VALIDATION)


class Recorder:
    """A rank among two, which hears from the other what it says itself."""

    place = SimpleNamespace(size=2)

    def __init__(self):
        self.said = []

    def gather(self, array):
        self.said.append(array)
        return array


class Beside(Recorder):
    """A rank that hears in turn what another one says."""

    def __init__(self, other):
        super().__init__()
        self._answers = iter(other)

    def gather(self, array):
        return np.concatenate([array, next(self._answers)])


def said_by(view):
    rank = Recorder()
    require_agreement(rank, *view)
    return rank.said


HERE = (Data("abc", "d"), False, "cpu in float32")


@pytest.mark.parametrize("other, words", [
    ((Data("abc", "d"), True, "cpu in float32"), "different data"),
    ((Data("abd", "c"), False, "cpu in float32"), "different data"),
    ((Data("abc"), False, "cpu in float32"), "different data"),
    ((Data("abc", "d"), False, "cpu in bfloat16"), "with cpu in float32")])
def test_ranks_see_the_same_images_and_compute_alike(other, words):
    require_agreement(Beside(said_by(HERE)), *HERE)
    with pytest.raises(UserError, match=words):
        require_agreement(Beside(said_by(other)), *HERE)
