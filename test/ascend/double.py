"""Runs of the project on the double of Ascend's adapter: in this process, or as ranks."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from runtime.ascend.rank_table import NEW, as_json, make_rank_table

from ..conftest import COMMAND_SECONDS, ROOT
from ..warm import python

ADAPTER = Path(__file__).resolve().parent / "adapter"
GENERATIONS = ("2021", "2026")
VARIABLES = ("JOB_ID", "RANK_ID", "RANK_SIZE", "RANK_TABLE_FILE", "ASCEND_DEVICE_ID", "DEVICE_ID", "CM_CHIEF_IP",
             "CM_CHIEF_PORT", "CM_CHIEF_DEVICE", "CM_WORKER_SIZE", "CM_WORKER_IP")


@contextlib.contextmanager
def installed(monkeypatch, generation, **variables):
    """The double as `npu_bridge` in this process; yields the list of its calls."""
    before = dict(os.environ)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(ADAPTER))
        for name in VARIABLES:
            os.environ.pop(name, None)
        os.environ.update({"JOB_ID": "10087", "NPU_BRIDGE_DOUBLE": generation, **variables})
        _forget()
        try:
            yield importlib.import_module("npu_bridge").calls
        finally:
            _forget()
            os.environ.clear()
            os.environ.update(before)


def _forget():
    for name in [name for name in sys.modules if name.split(".")[0] in ("npu_bridge", "hccl")]:
        del sys.modules[name]


def arguments_of(calls, name):
    """What `name` was last called with."""
    return [arguments for called, arguments in calls if called == name][-1]


class Ranks:
    """Processes of the command, one for each device, that find each other as on an Ascend host.

    Args:
        count: how many.
        directory: where rank table and outputs lie; each rank prints to `rank_<k>.txt`.
        generation: of the double.
        chief: whether a chief gives out the ranks instead of a table.
    """

    def __init__(self, count, directory, generation="2026", chief=False):
        self.count, self.directory, self.generation, self.chief = count, Path(directory), generation, chief
        self._sockets = tempfile.mkdtemp(prefix="hccl-")  # A socket's path is short.

    def environment(self, rank):
        """The variables of a rank."""
        clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        path = os.pathsep.join(filter(None, (str(ADAPTER), os.environ.get("PYTHONPATH"))))
        shared = {"JOB_ID": "10087", "PYTHONPATH": path, "NPU_BRIDGE_DOUBLE": self.generation,
                  "NPU_BRIDGE_HCCL": os.path.join(self._sockets, "socket"), "ASCEND_DEVICE_ID": str(rank)}
        if self.chief:
            told = {"CM_CHIEF_IP": "10.0.0.1", "CM_CHIEF_PORT": "6000", "CM_CHIEF_DEVICE": "0",
                    "CM_WORKER_SIZE": str(self.count), "CM_WORKER_IP": "10.0.0.1"}
        else:
            told = {"RANK_ID": str(rank), "RANK_SIZE": str(self.count), "RANK_TABLE_FILE": self._table()}
        return {**clean, **shared, **told}

    def start(self, *arguments):
        """The processes, running."""
        started = []
        for rank in range(self.count):
            with open(self.directory / f"rank_{rank}.txt", "w") as output:
                started.append(subprocess.Popen(
                    [python(), str(ROOT / "main.py"), "--device", "npu", *arguments], cwd=str(self.directory),
                    env=self.environment(rank), stdout=output, stderr=subprocess.STDOUT))
        return started

    def run(self, *arguments, seconds=COMMAND_SECONDS):
        """Run them all to their ends, each within `seconds`: their exit codes."""
        started = self.start(*arguments)
        try:
            return [process.wait(seconds) for process in started]
        finally:
            for process in started:
                process.kill()
            shutil.rmtree(self._sockets, ignore_errors=True)

    def output(self, rank=0):
        """What a rank printed."""
        return (self.directory / f"rank_{rank}.txt").read_text()

    def _table(self):
        path = self.directory / "hccl.json"
        if not path.exists():
            addresses = [f"192.168.100.{101 + rank}" for rank in range(self.count)]
            table = make_rank_table("10.0.0.1", range(self.count), addresses)
            path.write_text(json.dumps(as_json(table, NEW)))
        return str(path)
