"""Attempts to train: started, killed as planned, waited for."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from benchmark.killing.subjects import DATA, RECIPE
from benchmark.killing.trap import BUDGET, EVERY_RANK, START, STEPS, Plan, attempt, flag_file, pid_file, touch
from runtime.settings.saved import FILE_NAME as SETTINGS_FILE
from utils.processes import process_alive

COMMAND = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "kill_anywhere.py")
ATTEMPT_SECONDS = 300.0
"""An attempt that takes longer hangs."""
SURVIVAL_SECONDS = 4.0
"""How long other ranks may live on after one of them died: they tell who died, and end."""


class Case(NamedTuple):
    """What runs in one directory: the flags of the command, on how many ranks, and whether `horovodrun` starts them.

    Where --train_minutes is among the flags, a measurement decides how many steps there are.
    """

    scenario: str
    flags: Tuple[str, ...]
    ranks: int
    horovodrun: bool


class Forked:
    """An attempt in forks of this process, one for each rank. All is imported already: that saves seconds on each."""

    def __init__(self, case: Case, arguments: Sequence[str], plan: Optional[Plan], scratch: str) -> None:
        self._rendezvous: Any = None
        environments: List[Dict[str, str]] = [{}]
        if case.ranks > 1:
            self._rendezvous, environments = _rendezvous(case.ranks)
        self._processes = [multiprocessing.get_context("fork").Process(
            target=_forked, args=(arguments, plan, scratch, environment)) for environment in environments]
        self._failed_at: Optional[float] = None
        for process in self._processes:
            process.start()

    def exit_code(self) -> Optional[int]:
        """What it ended with, None while a rank runs; those that long outlive another are ended, as launchers do."""
        codes = [process.exitcode for process in self._processes]
        failed = [code for code in codes if code]
        if failed and self._failed_at is None:
            self._failed_at = time.monotonic()
        if None in codes:
            if self._failed_at is not None and time.monotonic() - self._failed_at > SURVIVAL_SECONDS:
                self.strike(EVERY_RANK)
            return None
        if self._rendezvous is not None:
            self._rendezvous.stop()
            self._rendezvous = None
        return failed[0] if failed else 0

    def strike(self, victim: int) -> None:
        """Kill a rank, or all of them."""
        for process in self._processes if victim == EVERY_RANK else [self._processes[victim]]:
            process.kill()


def _rendezvous(ranks: int) -> Tuple[Any, List[Dict[str, str]]]:
    """Where ranks of this host find each other, and the environment of each: what `horovodrun` would set up."""
    from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
    from horovod.runner.gloo_run import create_slot_env_vars
    from horovod.runner.http.http_server import RendezvousServer

    slots = get_host_assignments(parse_hosts(f"localhost:{ranks}"), ranks)
    server = RendezvousServer()
    common = {"HOROVOD_GLOO_RENDEZVOUS_ADDR": "127.0.0.1", "HOROVOD_GLOO_RENDEZVOUS_PORT": str(server.start()),
              "HOROVOD_CONTROLLER": "gloo", "HOROVOD_CPU_OPERATIONS": "gloo", "HOROVOD_GLOO_IFACE": "lo"}
    server.init(slots)
    return server, [dict(create_slot_env_vars(slot), **common) for slot in slots]


def _forked(arguments: Sequence[str], plan: Optional[Plan], scratch: str, environment: Dict[str, str]) -> None:
    output = os.open(os.path.join(scratch, "output"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environment)
    os._exit(attempt(arguments, plan, scratch))


class Launched:
    """An attempt of several ranks under `horovodrun`."""

    def __init__(self, case: Case, arguments: Sequence[str], plan: Optional[Plan], scratch: str) -> None:
        self._scratch, self._ranks = scratch, case.ranks
        task = os.path.join(scratch, "task.json")
        touch(task, json.dumps([list(arguments), plan]))
        command = [os.path.join(os.path.dirname(sys.executable), "horovodrun"), "-np", str(case.ranks), "--gloo",
                   sys.executable, COMMAND, "--attempt", task]
        search_path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        with open(os.path.join(scratch, "output"), "wb") as output:
            self._process = subprocess.Popen(command, cwd=scratch, env=dict(os.environ, PATH=search_path),
                                             stdout=output, stderr=subprocess.STDOUT)

    def exit_code(self) -> Optional[int]:
        """What the launcher ended with, None while it or a rank runs."""
        code = self._process.poll()
        return None if any(process_alive(pid) for pid in self._pids().values()) else code

    def strike(self, victim: int) -> None:
        """Kill a rank as soon as it is there, or all of them and the launcher."""
        wanted = range(self._ranks) if victim == EVERY_RANK else [victim]
        while not set(wanted) <= set(self._pids()) and self._process.poll() is None:
            time.sleep(0.001)
        for pid in [self._pids()[rank] for rank in wanted if rank in self._pids()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if victim == EVERY_RANK:
            self._process.kill()

    def _pids(self) -> Dict[int, int]:
        paths = {rank: pid_file(self._scratch, rank) for rank in range(self._ranks)}
        return {rank: int(read_text(path)) for rank, path in paths.items() if os.path.exists(path)}


class Ended(NamedTuple):
    """How an attempt ended: its exit code (None: it hung), whether it was struck, seconds, what it printed last."""

    code: Optional[int]
    struck: bool
    seconds: float
    printed: str


def run_attempt(case: Case, directory: str, data: str, plan: Optional[Plan]) -> Ended:
    """Train in `directory`, going on with what is there, and kill it as the plan says."""
    arguments = _arguments(case, directory, data)
    with tempfile.TemporaryDirectory(prefix="attempt-", dir=data) as scratch:
        started = time.monotonic()
        process: Any = (Launched if case.horovodrun else Forked)(case, arguments, plan, scratch)
        struck = False
        try:
            while process.exit_code() is None and time.monotonic() - started < ATTEMPT_SECONDS:
                if plan is not None and not plan.call and not struck and _begun(plan, scratch):
                    _strike_later(process, plan, started)
                    struck = True
                time.sleep(0.001)
        finally:  # also where a signal ends the campaign
            code = process.exit_code()
            if code is None:
                process.strike(EVERY_RANK)
        struck = struck or bool(plan and plan.call and os.path.exists(flag_file(scratch)))
        # A process that is killed at its very start has opened no file yet.
        output = os.path.join(scratch, "output")
        printed = read_text(output)[-2000:] if os.path.exists(output) else ""
        return Ended(code, struck, time.monotonic() - started, printed)


def _begun(plan: Plan, scratch: str) -> bool:
    return plan.place == START or os.path.exists(flag_file(scratch))


def _strike_later(process: Any, plan: Plan, started: float) -> None:
    since = started if plan.place == START else time.monotonic()
    while process.exit_code() is None and time.monotonic() - since < plan.after:
        time.sleep(0.0005)
    process.strike(plan.victim)


def _arguments(case: Case, directory: str, data: str) -> List[str]:
    arguments = ["--model_dir", directory, "--device", "cpu", "--deterministic"]
    # Killed before its settings were written, a run has not begun: there is nothing to resume.
    if os.path.exists(os.path.join(directory, SETTINGS_FILE)):
        return [*arguments, "--resume_training"]
    return [*arguments, "--data_dir", os.path.join(data, DATA), "--recipe", os.path.join(data, RECIPE),
            *(() if BUDGET in case.flags else ("--max_steps", str(STEPS))), *case.flags]


def read_text(path: str) -> str:
    """The text of a file, whatever its bytes."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()
