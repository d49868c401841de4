"""The order of the system calls of a save: what a power cut needs, and a killed process cannot show.

The kernel's page cache survives SIGKILL, so no killing tells whether anything was flushed. The system calls do:
write, fsync, rename, fsync of the directory; then the mark in the same way; then older checkpoints are removed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import Iterator, List, NamedTuple

import pytest

from ...conftest import COMMAND_SECONDS, ROOT

pytestmark = pytest.mark.skipif(shutil.which("strace") is None,
                                reason="strace is not installed (Debian package strace)")

TRACED = "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat"
SAVE = """
import sys
from runtime.checkpoints.find import checkpoint_directory
from runtime.checkpoints.write import prune
from test.runtime.checkpoints.checkpoints import save
save(sys.argv[1], 1, 2)
prune(checkpoint_directory(sys.argv[1]), 1, None)
"""
START = """
import os, sys
from runtime.checkpoints.write import start_from
os.mkdir(os.path.join(sys.argv[1], "model_checkpoint"))
start_from(os.path.join(sys.argv[1], "model_checkpoint"), None)
"""
REPLACE = """
import os, sys
from utils.files import write_text
write_text(os.path.join(sys.argv[1], "file"), "old")
write_text(os.path.join(sys.argv[1], "file"), "new")
"""


class Event(NamedTuple):
    """A system call that succeeded: "write", "fsync", "rename" (to `target`) or "unlink", and the path it was about."""

    call: str
    path: str
    target: str = ""


def trace(script, directory) -> List[Event]:
    """What a script that gets `directory` as its argument does to the files there, in order."""
    log = directory.parent / "trace"
    directory.mkdir(exist_ok=True)
    command = ["strace", "-f", "-y", "-s", "0", "-e", f"trace={TRACED}", "-o", str(log), sys.executable, "-c", script,
               str(directory)]
    result = subprocess.run(command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=COMMAND_SECONDS, check=False)
    if "ptrace" in result.stdout and "not permitted" in result.stdout:
        pytest.skip("this system does not let processes be traced")
    assert result.returncode == 0, result.stdout
    return [event for line in whole_lines(log.read_text()) for event in events_of(line)
            if event.path.startswith(str(directory))]


def whole_lines(text) -> Iterator[str]:
    """The lines of a trace; a call that another thread interrupted stands where it ended."""
    begun = {}
    for line in text.splitlines():
        thread, call = line.split(None, 1)
        if call.endswith("<unfinished ...>"):
            begun[thread] = call[:-len("<unfinished ...>")]
        elif call.startswith("<..."):
            yield begun.pop(thread) + call.split("resumed>", 1)[1]
        else:
            yield call


def events_of(line) -> Iterator[Event]:
    match = re.match(r"(\w+)\((.*)\)\s+= (\d+)", line)
    if not match:
        return
    call, arguments = match.group(1), match.group(2)
    opened, quoted = re.match(r"\d+<([^>]*)>", arguments), re.findall(r'"([^"]*)"', arguments)
    if call in ("write", "pwrite64") and opened:
        yield Event("write", opened.group(1))
    elif call in ("fsync", "fdatasync") and opened:
        yield Event("fsync", opened.group(1))
    elif call.startswith("rename"):
        yield Event("rename", *quoted)
    elif call.startswith("unlink"):
        yield Event("unlink", os.path.join(opened.group(1) if opened else "", quoted[0]))


def renaming_into(events, path) -> int:
    """Where the file at `path` came to its name for the first time."""
    return next(at for at, event in enumerate(events) if event.call == "rename" and event.target == path)


def check_durable(events, path) -> int:
    """Assert that the file at `path` was written, flushed, renamed, and its directory flushed; and where that ended."""
    renamed = renaming_into(events, path)
    names = {events[renamed].path}
    for event in reversed(events[:renamed]):
        # TensorFlow, too, writes under another name first.
        if event.call == "rename" and event.target in names:
            names.add(event.path)
    before = events[:renamed]
    writes = [at for at, event in enumerate(before) if event.call == "write" and event.path in names]
    flushes = [at for at, event in enumerate(before) if event == Event("fsync", events[renamed].path)]
    assert writes, f"{path} was never written"
    assert flushes, f"{path} was not flushed before its renaming"
    assert writes[-1] < flushes[-1], f"{path} was written after it was flushed"
    directory = Event("fsync", os.path.dirname(path))
    assert directory in events[renamed:], f"the directory of {path} was not flushed after the renaming"
    return events.index(directory, renamed)


def check_save(events, directory, step) -> int:
    """Assert the order of a whole save; and where its mark was on the disk."""
    prefix = os.path.join(directory, f"model.ckpt-{step}")
    flushed = max(check_durable(events, f"{prefix}.{name}") for name in ("data-00000-of-00001", "index"))
    marked = check_durable(events, f"{prefix}.complete")
    temporary = events[renaming_into(events, f"{prefix}.complete")].path
    begun = next(at for at, event in enumerate(events) if event.path == temporary)
    assert flushed < begun, "the mark was begun before the files it vouches for were on the disk"
    return marked


@pytest.fixture(scope="module")
def saving(tmp_path_factory):
    """The directory of two saves and a pruning, and what they did."""
    model_dir = tmp_path_factory.mktemp("order") / "run"
    return str(model_dir / "model_checkpoint"), trace(SAVE, model_dir)


def test_a_save_is_on_the_disk_before_its_mark_and_the_mark_before_older_ones_go(saving):
    directory, events = saving
    first, second = (check_save(events, directory, step) for step in (1, 2))
    removals = [at for at, event in enumerate(events)
                if event.call == "unlink" and os.path.basename(event.path).startswith("model.ckpt-1.")]
    assert len(removals) == 3
    assert first < second < removals[0]
    assert events[removals[0]].path.endswith(".complete")


def test_a_save_that_leaves_out_a_flush_is_found(saving):
    directory, events = saving
    # What follows the mark is the pointer for TensorFlow, which no save rests on.
    save = events[:check_save(events, directory, 1) + 1]
    flushes = [at for at, event in enumerate(save) if event.call == "fsync"]
    assert len(flushes) == 5
    for at in flushes:
        with pytest.raises(AssertionError):
            check_save(save[:at] + save[at + 1:], directory, 1)


def test_the_directory_of_the_checkpoints_is_on_the_disk_before_training_starts(tmp_path):
    assert Event("fsync", str(tmp_path / "here")) in trace(START, tmp_path / "here")


def test_a_replaced_file_is_on_the_disk_before_it_takes_its_name(tmp_path):
    events = trace(REPLACE, tmp_path / "here")
    path = str(tmp_path / "here" / "file")
    again = check_durable(events, path)
    rest = events[again + 1:]
    check_durable(rest, path)
    assert all(event.path != path for event in events), "what has the name is never written"
    for at, event in enumerate(rest):
        if event.call == "fsync":
            with pytest.raises(AssertionError):
                check_durable(rest[:at] + rest[at + 1:], path)
