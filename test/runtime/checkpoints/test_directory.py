"""Whose directory it is."""

from __future__ import annotations

import os
import socket

import pytest

from runtime.checkpoints import directory as directories
from runtime.checkpoints.lock import locked
from runtime.settings.saved import FILE_NAME
from utils.errors import UserError

from ...conftest import as_nobody


def claim(path, resume, overwrite):
    """Claim `path` and let it go again."""
    with directories.claim(path, resume, overwrite) as moved:
        assert os.path.isdir(path)
        return moved


@pytest.fixture()
def run_directory(tmp_path):
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / FILE_NAME).write_text("{}")
    (directory / "precious").write_text("weights")
    return directory


def test_a_missing_directory_is_made(tmp_path):
    assert claim(str(tmp_path / "a" / "b"), resume=False, overwrite=False) == ""
    assert os.listdir(str(tmp_path / "a" / "b")) == []


@pytest.mark.parametrize("name", [".gitkeep", "lost+found"])
def test_an_empty_directory_is_taken(tmp_path, name):
    (tmp_path / name).mkdir()
    assert claim(str(tmp_path), resume=False, overwrite=False) == ""


def test_a_run_is_refused_with_the_three_ways_on(run_directory):
    with pytest.raises(UserError) as caught:
        claim(str(run_directory), resume=False, overwrite=False)
    for way in ("--resume_training", "--model_dir", "--overwrite"):
        assert way in caught.value.repair
    assert (run_directory / "precious").read_text() == "weights"


def test_resume_leaves_the_run_where_it_is(run_directory):
    assert claim(str(run_directory), resume=True, overwrite=False) == ""
    assert (run_directory / "precious").read_text() == "weights"


def test_overwrite_moves_the_run_aside_and_loses_nothing(run_directory):
    first = claim(str(run_directory) + "/", resume=False, overwrite=True)
    assert first == str(run_directory) + ".1"
    assert sorted(os.listdir(first)) == ["precious", FILE_NAME]
    assert os.listdir(str(run_directory)) == []
    (run_directory / FILE_NAME).write_text("{}")
    assert claim(str(run_directory), resume=False, overwrite=True) == str(run_directory) + ".2"
    assert os.path.isdir(first)


@pytest.mark.parametrize("resume, overwrite", [(False, False), (True, False), (False, True)])
def test_a_directory_in_use_is_refused_and_its_process_named(run_directory, resume, overwrite):
    with locked(str(run_directory)), pytest.raises(UserError) as caught:
        claim(str(run_directory), resume, overwrite)
    assert f"process {os.getpid()} on {socket.gethostname()}" in caught.value.found
    if not resume:
        with locked(str(run_directory)), pytest.raises(UserError) as before:
            directories.require_free(str(run_directory), overwrite)
        assert before.value.args == caught.value.args
    assert (run_directory / "precious").read_text() == "weights"


def test_a_link_to_a_run_stays_on_its_disk(run_directory, tmp_path):
    (tmp_path / "link").symlink_to(run_directory)
    assert claim(str(tmp_path / "link"), resume=False, overwrite=True) == f"{run_directory}.1"
    assert (tmp_path / "link").is_symlink() and os.listdir(str(run_directory)) == []
    assert (tmp_path / "run.1" / "precious").read_text() == "weights"


def test_two_runs_moved_aside_and_anew_at_once_do_not_meet(run_directory):
    with directories.claim(str(run_directory), resume=False, overwrite=True) as moved:
        with pytest.raises(UserError, match="in use"):
            claim(str(run_directory), resume=False, overwrite=True)
        assert os.listdir(moved) != []
    assert os.listdir(str(run_directory)) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_strangers_files_are_refused_whatever_is_asked(tmp_path, overwrite):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="thesis.tex"):
        claim(str(tmp_path), resume=False, overwrite=overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_file_in_its_place_is_named(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="Not a directory"):
        claim(str(tmp_path / "run"), resume=False, overwrite=False)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("missing", [False, True])
def test_a_directory_that_cannot_be_written_is_named(tmp_path, missing):
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == 0 and str(directory).startswith(str(tmp_path.parents[2])):
            directory.chmod(0o755)
    text = as_nobody(lambda: claim(str(tmp_path / "new") if missing else str(tmp_path), False, False))
    assert "Permission denied" in text
    assert str(tmp_path) in text


def test_directories_without_files_are_not_in_the_way(tmp_path):
    """Those that --log_dir, --output and --profiling name are made before."""
    (tmp_path / "logs" / "a" / "b").mkdir(parents=True)
    (tmp_path / "fold_0").mkdir()
    assert claim(str(tmp_path), resume=False, overwrite=False) == ""
    (tmp_path / "logs" / "a" / "b" / "precious").write_text("weights")
    with pytest.raises(UserError, match=r"not a run \(logs\)"):
        claim(str(tmp_path), resume=False, overwrite=False)


@pytest.mark.parametrize("place", ["link", os.path.join("deep", "link")])
def test_a_link_to_a_directory_may_be_somebodys(tmp_path, place):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / "deep").mkdir(parents=True)
    os.symlink(str(tmp_path / "elsewhere"), str(tmp_path / "run" / place))
    with pytest.raises(UserError, match="not a run"):
        claim(str(tmp_path / "run"), resume=False, overwrite=False)


def test_a_directory_that_cannot_be_read_may_be_somebodys(tmp_path, monkeypatch):
    def walk(path, onerror):
        onerror(PermissionError(13, "Permission denied"))
        yield from ()

    (tmp_path / "theirs").mkdir()
    monkeypatch.setattr(directories.os, "walk", walk)
    with pytest.raises(UserError, match=r"not a run \(theirs\)"):
        claim(str(tmp_path), resume=False, overwrite=False)


def test_a_run_that_was_moved_aside_is_told_from_the_one_in_its_place(run_directory):
    before = directories.identity(str(run_directory))
    directories.require_same(str(run_directory), before)
    moved = directories.move_aside(str(run_directory))
    directories.require_same(moved, before)
    with pytest.raises(UserError, match="another directory than when this command began"):
        directories.require_same(str(run_directory), before)
    run_directory.mkdir()
    with pytest.raises(UserError, match="numbered sibling"):
        directories.require_same(str(run_directory), before)
