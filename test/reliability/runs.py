"""What these tests do to runs."""

from __future__ import annotations

import contextlib
import subprocess

from runtime.checkpoints.find import files_of


def wait_for_step(log, process, step):
    """Wait until the log speaks of `step`."""
    while not (log.exists() and f'"step": [{step}, ' in log.read_text()):
        assert still_runs(process), f"the run ended with {process.returncode}"


def still_runs(process):
    """Whether a process goes on, looked at for a twentieth of a second, so that it has the processor meanwhile."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.05)
    return process.returncode is None


def checkpoint_steps(directory):
    return sorted(files_of(str(directory / "model_checkpoint")))


def spoil(path, at=100):
    """Flip a bit."""
    with open(path, "r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([byte ^ 4]))


def data_file(directory, step):
    return directory / "model_checkpoint" / f"model.ckpt-{step}.data-00000-of-00001"
