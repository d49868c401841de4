"""Printing to nobody."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys

import pytest

from ..conftest import ROOT

TALKER = """
import sys
from runtime.terminal import outliving_terminal

with outliving_terminal():
    sys.stdin.readline()
    for line in range(20000):
        print("a line of the run", line, file=sys.stdout if line % 2 else sys.stderr)
with open(sys.argv[1], "w") as stream:
    stream.write("done")
"""


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_pipe_does_not_end_the_run(tmp_path, closed):
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, closed: subprocess.PIPE}
    child = subprocess.Popen([sys.executable, "-c", TALKER, str(tmp_path / "done")], cwd=str(ROOT),
                             stdin=subprocess.PIPE, **streams)
    getattr(child, closed).close()
    child.stdin.write(b"\n")
    child.stdin.close()
    assert child.wait(60) == 0
    assert (tmp_path / "done").read_text() == "done"


def test_a_terminal_that_is_gone_does_not_end_the_run(tmp_path):
    master, slave = os.openpty()
    child = subprocess.Popen([sys.executable, "-c", TALKER, str(tmp_path / "done")], cwd=str(ROOT),
                             stdin=subprocess.PIPE, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    os.close(master)
    child.stdin.write(b"\n")
    child.stdin.close()
    assert child.wait(60) == 0
    assert (tmp_path / "done").read_text() == "done"


def test_streams_that_were_closed_from_the_start_do_not_end_the_run(tmp_path):
    (tmp_path / "talker.py").write_text(TALKER.replace("sys.stdin.readline()", "pass"))
    command = f'exec "{sys.executable}" "{tmp_path}/talker.py" "{tmp_path}/done" <&- >&- 2>&-'
    assert subprocess.run(["bash", "-c", command], cwd=str(ROOT), check=False, timeout=60,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode == 0
    assert (tmp_path / "done").read_text() == "done"


def test_what_is_read_arrives_and_the_streams_are_put_back(capfd):
    from runtime.terminal import Outliving, outliving_terminal

    before = sys.stdout
    with outliving_terminal():
        print("heard")
        assert isinstance(sys.stdout, Outliving)
        assert sys.stdout.isatty() is False
        assert sys.stdout.encoding
    assert sys.stdout is before
    assert capfd.readouterr().out == "heard\n"


def test_what_a_terminal_has_no_letters_for_is_told_all_the_same():
    from runtime.terminal import Outliving

    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="iso-8859-1")
    Outliving(stream).write("Größe \u03b1, \udcff\n")
    stream.flush()
    assert buffer.getvalue() == "Größe ".encode("iso-8859-1") + b"\\u03b1, \\udcff\n"


class FullDisk(io.StringIO):
    """A file on a disk that has no room for some writes."""

    def __init__(self, failures):
        super().__init__()
        self.failures = failures

    def write(self, text):
        if self.failures:
            self.failures -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(text)

    def fileno(self):
        raise AssertionError("turned away")


def test_a_disk_that_has_room_again_gets_the_lines_that_come_then():
    from runtime.terminal import Outliving

    disk = FullDisk(failures=2)
    stream = Outliving(disk)
    assert [stream.write(line) for line in ("a", "b", "c", "d")] == [1] * 4
    assert disk.getvalue() == "cd"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no disk that is always full")
def test_a_disk_that_stays_full_is_no_error_in_the_end(tmp_path):
    with open("/dev/full", "w", encoding="utf-8") as full:
        child = subprocess.run([sys.executable, "-c", TALKER, str(tmp_path / "done")], cwd=str(ROOT), input=b"\n",
                               stdout=full, stderr=full, check=False, timeout=60)
    assert child.returncode == 0
    assert (tmp_path / "done").read_text() == "done"
