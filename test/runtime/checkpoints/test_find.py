"""Finding the newest sound checkpoint."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import hypothesis
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import strategies

from runtime.checkpoints import find
from runtime.checkpoints.best import History, save_history
from runtime.checkpoints.find import (
    BEST,
    NEWEST,
    SAVED,
    checkpoint_directory,
    found_as,
    newest_sound,
    required,
    search,
)
from utils.errors import UserError
from utils.files import read_json

from .checkpoints import data_file, mark_file, save, value_of

EXPECTED = {"layer/kernel": (2, 3)}


def damage(path, at, bit):
    """Flip one bit of a file."""
    with open(path, "r+b") as stream:
        stream.seek(at % os.path.getsize(path))
        byte = stream.read(1)[0]
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte ^ (1 << bit)]))


def cut(path, size):
    os.truncate(path, size)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A run with the checkpoints of steps 3, 8 and 20."""
    directory = tmp_path_factory.mktemp("three")
    save(directory, 3, 8, 20)
    return directory


@pytest.fixture()
def run(three, tmp_path):
    """A copy of it to spoil."""
    return shutil.copytree(str(three), str(tmp_path / "run"))


def test_none_where_there_is_none(tmp_path):
    assert newest_sound(str(tmp_path)) is None
    with pytest.raises(UserError, match="no checkpoint"):
        required(str(tmp_path), search(str(tmp_path), {}))


def test_the_newest_by_its_step_not_by_its_name_or_time(run):
    os.utime(data_file(run, 3))
    found = search(run, EXPECTED)
    assert (found.checkpoint.step, found.checkpoint.samples, found.remarks) == (20, 80, ())
    assert value_of(found.checkpoint) == 20.0


def test_a_run_may_be_moved(run, tmp_path):
    shutil.move(run, str(tmp_path / "there"))
    checkpoint = newest_sound(str(tmp_path / "there"))
    assert str(tmp_path / "there") in checkpoint.path
    assert tf.train.latest_checkpoint(checkpoint_directory(str(tmp_path / "there"))) == checkpoint.path


SPOILERS = {
    "a file cut short": (lambda run: cut(data_file(run, 20), 5), "5 bytes instead of"),
    "an empty file": (lambda run: cut(data_file(run, 20), 0), "0 bytes instead of"),
    "a flipped bit": (lambda run: damage(data_file(run, 20), 7, 3), "checksum differs"),
    "a missing data file": (lambda run: os.remove(data_file(run, 20)), "No such file"),
    "a missing index": (lambda run: os.remove(data_file(run, 20).replace("data-00000-of-00001", "index")), "index"),
    "no mark": (lambda run: os.remove(mark_file(run, 20)), "no completion mark"),
    "a mark cut short": (lambda run: cut(mark_file(run, 20), 30), "mark is damaged"),
    "a mark that is no record": (lambda run: Path(mark_file(run, 20)).write_text("[1, 2]"), "mark is damaged"),
    "the mark of another step": (lambda run: shutil.copy(mark_file(run, 8), mark_file(run, 20)), "that of step 8"),
    "the data of another step": (lambda run: shutil.copy(data_file(run, 8), data_file(run, 20)), "checksum differs"),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_a_spoilt_checkpoint_is_named_and_the_one_before_serves(run, name):
    spoil, words = SPOILERS[name]
    spoil(run)
    found = search(run, EXPECTED)
    assert found.checkpoint.step == 8
    assert value_of(found.checkpoint) == 8.0
    assert len(found.remarks) == 1
    assert "model.ckpt-20 is not usable" in found.remarks[0]
    assert words in found.remarks[0]


@pytest.mark.parametrize("network, words", [
    ({"other/kernel": (2, 3)}, "no variable other/kernel"),
    ({"layer/kernel": (2, 4)}, "layer/kernel has shape 2x3 instead of 2x4"),
])
def test_a_foreign_checkpoint_is_named(run, network, words):
    found = search(run, network)
    assert found.checkpoint is None
    assert found.lost
    assert all(words in remark for remark in found.remarks)
    with pytest.raises(UserError, match="restore the files"):
        required(run, found)


def test_all_spoilt_is_told_apart_from_none_yet(run, tmp_path):
    for step in (3, 8, 20):
        damage(data_file(run, step), 0, 0)
    assert search(run, EXPECTED).lost
    os.makedirs(checkpoint_directory(str(tmp_path / "new")))
    assert not search(str(tmp_path / "new"), EXPECTED).lost


def test_checkpoints_that_were_taken_away_are_lost_and_not_none_yet(run):
    shutil.rmtree(checkpoint_directory(run))
    found = search(run, EXPECTED)
    assert found.lost
    with pytest.raises(UserError, match="though the run has saved some"):
        required(run, found)


def test_a_look_is_repeated_while_checkpoints_come_and_go(run, monkeypatch):
    original, looks = find.files_of, []

    def files_of(directory):
        looks.append(directory)
        held = original(directory)
        if len(looks) == 2:
            # What a run that trains on does between the listing and the looking.
            for step in (3, 8, 20):
                os.remove(mark_file(run, step))
            save(run, 30)
        return held

    monkeypatch.setattr(find, "files_of", files_of)
    found = search(run, EXPECTED)
    assert (found.checkpoint.step, found.remarks) == (30, ())


def test_a_first_save_that_never_completed_loses_nothing(tmp_path):
    save(tmp_path, 3)
    os.remove(mark_file(tmp_path, 3))
    os.remove(str(tmp_path / SAVED))
    found = search(str(tmp_path), EXPECTED)
    assert (found.checkpoint, found.lost) == (None, False)


@pytest.mark.parametrize("best, step", [(8, 8), (3, 3), (99, 20)])
def test_the_best_where_it_is_asked_for(run, best, step):
    save_history(run, History("dice", [{"step": best, "scores": {"dice": 0.9}}]))
    found = search(run, EXPECTED, BEST)
    assert found.checkpoint.step == step
    assert bool(found.remarks) == (best != step)
    assert found_as(run, BEST, found.checkpoint) == (BEST if best == step else NEWEST)
    assert found_as(run, NEWEST, found.checkpoint) == NEWEST


def test_no_best_is_told(run):
    found = search(run, EXPECTED, BEST)
    assert found.checkpoint.step == 20
    assert "--evaluate_every" in found.remarks[0]
    assert found_as(run, BEST, found.checkpoint) == NEWEST


@hypothesis.given(files=strategies.lists(strategies.tuples(
    strategies.sampled_from([3, 8, 20]), strategies.sampled_from(["data", "index", "complete"]),
    strategies.sampled_from(["cut", "flip", "remove"]), strategies.integers(0, 10 ** 6), strategies.integers(0, 7)),
    max_size=4))
@hypothesis.settings(max_examples=60)
def test_whatever_is_damaged_what_is_found_is_sound_and_the_newest(three, tmp_path_factory, files):
    run = shutil.copytree(str(three), str(tmp_path_factory.mktemp("property") / "run"))
    touched = set()
    for step, kind, way, at, bit in files:
        path = {"data": data_file(run, step), "complete": mark_file(run, step),
                "index": data_file(run, step).replace("data-00000-of-00001", "index")}[kind]
        if not os.path.exists(path) or os.path.getsize(path) == 0:
            continue
        if way == "remove":
            os.remove(path)
        elif way == "cut":
            cut(path, at % os.path.getsize(path))
        else:
            damage(path, at, bit)
        touched.add(step)
    found = search(run, EXPECTED)
    # A mark survives some damage: a bit of white space, or two flips of one bit.
    newest_untouched = max((step for step in (3, 8, 20) if step not in touched), default=None)
    if newest_untouched is not None:
        assert found.checkpoint.step >= newest_untouched
    if found.checkpoint is not None:
        assert value_of(found.checkpoint) == found.checkpoint.step
        assert read_json(mark_file(run, found.checkpoint.step))["step"] == found.checkpoint.step
