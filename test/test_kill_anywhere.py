"""Runs that are killed anywhere and resumed end like the one that never was."""

from __future__ import annotations

import concurrent.futures
import importlib.util
import signal
import subprocess

import pytest

from benchmark import kill_anywhere
from benchmark.killing.comparison import differing_files, differing_losses, differing_variables, inspect
from benchmark.killing.trap import STEPS
from utils.commands import Stopped

from .conftest import COMMAND_SECONDS, ROOT
from .warm import python

OUTCOME = kill_anywhere.Outcome("run", None, [kill_anywhere.ANY_TIME, kill_anywhere.AT_START], [False, False])


def kill(tmp_path, *arguments):
    """Run the command, in a process that has not computed anything yet and so may fork; the rows of its table."""
    result = subprocess.run([python(), str(ROOT / "benchmark" / "kill_anywhere.py"), *arguments],
                            cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=COMMAND_SECONDS, check=False)
    assert result.returncode == 0, result.stdout
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in result.stdout.splitlines() if line.startswith("|")]
    return {row[0]: [int(cell) for cell in row[1:]] for row in rows[2:]}


def test_a_run_killed_anywhere_and_resumed_is_the_run_never_killed(tmp_path):
    """In every scenario; the moments of this seed are of every kind."""
    kinds = kill(tmp_path, "--kills", "9", "--kills_per_run", "3", "--workers", "2", "--seed", "9")
    kills, runs, *differing = kinds.pop("all")
    assert (kills, differing) == (9, [0, 0, 0])
    assert runs >= len(kill_anywhere.SCENARIOS)
    assert set(kinds) == set(kill_anywhere.KINDS) - {kill_anywhere.IN_MEASUREMENT}


def test_a_run_of_minutes_is_killed_before_and_after_its_steps_are_known(tmp_path):
    """A fast recipe: what was measured is nothing to the run until it has begun, and is kept from then on."""
    rows = kill(tmp_path, "--kills", "2", "--subject", "fast", "--train_minutes", "--seed", "6")
    kills, _, *differing = rows.pop("all")
    assert (kills, differing) == (2, [0, 0, 0])
    assert kill_anywhere.IN_MEASUREMENT in rows and len(rows) == 2


@pytest.mark.parametrize("subject, seed", [("dagm2007", "1"), ("drive", "3")])
def test_every_family_of_networks_resumes_so(tmp_path, subject, seed):
    """Killed during a save, and during an evaluation (the first) or at any time (the second)."""
    kills, _, *differing = kill(tmp_path, "--kills", "2", "--subject", subject, "--seed", seed)["all"]
    assert (kills, differing) == (2, [0, 0, 0])


def test_a_signal_ends_what_runs_and_what_was_done_stays(monkeypatch):
    """One series is done, one runs in a worker, one was handed out to that worker, and one waits."""
    done, running, next_one, waiting = futures = [concurrent.futures.Future() for _ in range(4)]
    done.set_result([OUTCOME])
    for future in (running, next_one):
        future.set_running_or_notify_cancel()

    class Worker:
        @staticmethod
        def terminate():
            next(future for future in (running, next_one) if future.running()).set_exception(Stopped(signal.SIGTERM))

    def completed(_):
        yield done
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(kill_anywhere.concurrent.futures, "as_completed", completed)
    monkeypatch.setattr(kill_anywhere.multiprocessing, "active_children", lambda: [Worker])
    monkeypatch.setattr(kill_anywhere.time, "sleep", lambda seconds: None)
    outcomes = []
    with pytest.raises(Stopped):
        kill_anywhere._collect(futures, 4, outcomes)
    assert outcomes == [OUTCOME] and waiting.cancelled() and not next_one.running()


def test_a_campaign_that_was_stopped_says_so_behind_its_table(monkeypatch, capsys):
    def campaign(options, data, outcomes):
        outcomes.append(OUTCOME)
        raise Stopped(signal.SIGINT)

    monkeypatch.setattr(kill_anywhere, "campaign", campaign)
    for name in ("prepare", "import_all"):
        monkeypatch.setattr(kill_anywhere, name, lambda *_: None)
    assert kill_anywhere.main(["--kills", "7"]) == 130
    said = capsys.readouterr()
    assert "| all | 2 |" in said.out and "stopped by SIGINT" in said.err


@pytest.mark.skipif(importlib.util.find_spec("horovod") is None, reason="Horovod is not installed")
def test_two_ranks_killed_and_resumed_too(tmp_path):
    """First the other rank is killed while the chief saves, then the chief, at any time."""
    rows = kill(tmp_path, "--kills", "2", "--ranks", "2", "--seed", "18")
    kills, _, *differing = rows["all"]
    assert (kills, differing) == (2, [0, 0, 0])


@pytest.mark.parametrize("flag", ["--kills", "--kills_per_run", "--ranks", "--workers"])
def test_no_kills_and_no_workers_are_refused(capsys, flag):
    assert kill_anywhere.main([flag, "0"]) == 2
    assert f"{flag} 0" in capsys.readouterr().err


# What the comparison must find -------------------------------------------------------------------------------------


@pytest.fixture()
def runs(tmp_path):
    """Two small finished runs that are alike, made by hand."""
    from .runtime.checkpoints.checkpoints import save

    for name in ("never", "killed"):
        save(tmp_path / name, 3, STEPS)
        (tmp_path / name / "settings.json").write_text("{}")
        (tmp_path / name / "log.json").write_text("".join(
            f'DLLL {{"type": "LOG", "step": [{step}, 12], "data": {{"loss": {loss}}}}}\n'
            for step, loss in ((1, 0.5), (2, 0.25))))
    return tmp_path / "killed", tmp_path / "never"


def differences(killed, never):
    return differing_files(str(killed), str(never)) + differing_losses(str(killed), str(never))


def test_equal_runs_do_not_differ(runs):
    assert differences(*runs) == []
    assert inspect(str(runs[0]), 3) == (STEPS, [])
    assert differing_variables(*map(str, runs)) == []


def test_a_repeated_step_counts_by_its_last_record(runs):
    log = runs[0] / "log.json"
    log.write_text(log.read_text().replace("0.25", "9.0") + 'DLLL {"type": "LOG", "st\n' + log.read_text())
    assert differences(*runs) == []


@pytest.mark.parametrize("file, old, new", [
    ("model_checkpoint/model.ckpt-12.data-00000-of-00001", b"\0", b"\1"),
    ("model_checkpoint/model.ckpt-3.index", b"layer", b"liars"),
    ("model_checkpoint/model.ckpt-12.complete", b'"samples": 48', b'"samples": 47'),
    ("settings.json", b"{}", b"[]"),
    ("log.json", b"0.25", b"0.26"),
    ("log.json", b"[2, 12]", b"[1, 12]"),
])
def test_a_difference_is_found(runs, file, old, new):
    path = runs[0] / file
    changed = path.read_bytes().replace(old, new)
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    assert differences(*runs) != []


def test_a_missing_checkpoint_and_a_missing_evaluation_are_found(runs):
    for path in (runs[0] / "model_checkpoint").glob("model.ckpt-12.*"):
        path.unlink()
    (runs[1] / "validation.json").write_text('{"best": null, "evaluations": []}')
    assert len(differences(*runs)) == 4


@pytest.mark.parametrize("complete, file, text", [
    (13, None, None), (0, "settings.json", "{"), (0, "validation.json", ""),
    (0, "model_checkpoint/model.ckpt-12.complete", "{}"), (0, "model_checkpoint/model.ckpt-12.index", "cut"),
])
def test_a_kill_that_lost_or_spoilt_something_is_found(runs, complete, file, text):
    if file:
        (runs[0] / file).write_text(text)
    assert inspect(str(runs[0]), complete)[1] != []
