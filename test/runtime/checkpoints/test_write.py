"""Writing checkpoints, keeping the right ones, starting from one."""

from __future__ import annotations

import os

import pytest
import tensorflow.compat.v1 as tf

from runtime.checkpoints import write
from runtime.checkpoints.find import checkpoint_directory, files_of, newest_sound
from runtime.checkpoints.mark import fingerprint, read_mark
from runtime.checkpoints.write import prune, start_from

from .checkpoints import data_file, mark_file, save, value_of


def steps(model_dir):
    return sorted(files_of(checkpoint_directory(str(model_dir))))


def test_a_checkpoint_is_complete_and_leaves_no_scratch(tmp_path):
    save(tmp_path, 5)
    directory = checkpoint_directory(str(tmp_path))
    names = sorted(os.listdir(directory))
    assert names == ["checkpoint", "model.ckpt-5.complete", "model.ckpt-5.data-00000-of-00001", "model.ckpt-5.index"]
    mark = read_mark(os.path.join(directory, "model.ckpt-5"))
    assert (mark.step, mark.samples, mark.variables) == (5, 20, {"layer/kernel": (2, 3)})
    assert mark.files == {name: fingerprint(os.path.join(directory, name)) for name in names[2:]}
    assert tf.train.latest_checkpoint(directory) == os.path.join(directory, "model.ckpt-5")


@pytest.mark.parametrize("failing", ["fsync_path", "fingerprint", "write_mark"])
def test_a_save_that_fails_leaves_the_one_before_as_it_was(tmp_path, monkeypatch, failing):
    save(tmp_path, 5)
    before = {name: fingerprint(os.path.join(checkpoint_directory(str(tmp_path)), name))
              for name in os.listdir(checkpoint_directory(str(tmp_path)))}

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, failing, fail)
    with pytest.raises(OSError):
        save(tmp_path, 6)
    directory = checkpoint_directory(str(tmp_path))
    assert newest_sound(str(tmp_path)).step == 5
    assert {name: fingerprint(os.path.join(directory, name)) for name in before} == before
    assert not [name for name in os.listdir(directory) if name.startswith(".saving-")]


def test_a_mark_that_cannot_be_written_leaves_no_files_that_never_count(tmp_path, monkeypatch):
    save(tmp_path, 5)

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "write_mark", fail)
    with pytest.raises(OSError):
        save(tmp_path, 6)
    assert steps(tmp_path) == [5]


@pytest.mark.parametrize("keep, best, left", [
    (1, None, [9]), (2, None, [7, 9]), (9, None, [1, 4, 7, 9]), (1, 4, [4, 9]), (2, 9, [7, 9]), (1, 99, [9])])
def test_the_newest_and_the_best_are_kept(tmp_path, keep, best, left):
    save(tmp_path, 1, 4, 7, 9)
    prune(checkpoint_directory(str(tmp_path)), keep, best)
    assert steps(tmp_path) == left
    assert newest_sound(str(tmp_path)).step == 9


def test_pruning_leaves_alone_what_it_does_not_know_to_be_complete(tmp_path):
    save(tmp_path, 1, 2, 3)
    os.remove(mark_file(tmp_path, 1))
    prune(checkpoint_directory(str(tmp_path)), 1, None)
    assert steps(tmp_path) == [1, 3]


def test_starting_from_a_checkpoint_sets_later_files_aside_and_clears_interrupted_saves(tmp_path):
    save(tmp_path, 2, 5, 8)
    directory = checkpoint_directory(str(tmp_path))
    os.makedirs(os.path.join(directory, ".saving-x"))
    os.truncate(data_file(tmp_path, 8), 3)
    start_from(directory, newest_sound(str(tmp_path)))
    assert steps(tmp_path) == [2, 5]
    assert tf.train.latest_checkpoint(directory) == os.path.join(directory, "model.ckpt-5")
    aside = [name for name in os.listdir(directory) if name.endswith(".aside")]
    assert len(aside) == 3
    assert not os.path.exists(os.path.join(directory, ".saving-x"))


def test_what_was_set_aside_does_not_count_and_does_not_stand_in_the_way(tmp_path):
    save(tmp_path, 5, 8)
    directory = checkpoint_directory(str(tmp_path))
    os.truncate(data_file(tmp_path, 8), 3)
    start_from(directory, newest_sound(str(tmp_path)))
    save(tmp_path, 8)
    prune(directory, 1, None)
    assert steps(tmp_path) == [8]
    assert value_of(newest_sound(str(tmp_path))) == 8.0


def test_starting_anew_sets_everything_aside(tmp_path):
    save(tmp_path, 5)
    os.remove(mark_file(tmp_path, 5))
    start_from(checkpoint_directory(str(tmp_path)), None)
    assert steps(tmp_path) == []
