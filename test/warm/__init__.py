"""An interpreter that has TensorFlow imported already, for the many tests that start the command as a process.

A run of the command pays seconds for its imports before it does anything. Here a process pays them once, does nothing
else, and forks for every further run; that ends as the interpreter would, with all of its output, signals and exit
code (`client.py` and `server.py` say how). What such a fork cannot be, the interpreter itself carries out.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LAUNCHER = Path(sys.executable).parent / "horovodrun"
SCRIPTS = (ROOT / "main.py", ROOT / "benchmark" / "kill_anywhere.py", LAUNCHER)
IMPORTS = ("tensorflow.compat.v1", "main", "runtime.modes.dispatch", "runtime.modes.predict", "runtime.modes.export",
           "runtime.settings.compose", "horovod.tensorflow", "horovod.runner.launch")
# The kind of socket is Linux's; so is what the first line of a script may be.
POSSIBLE = sys.platform.startswith("linux") and " " not in sys.executable and len(sys.executable) < 120
ENVIRONMENT = dict(os.environ)
"""That in which the tests begin; what one of them changes is not what later ones find."""


class WarmInterpreter:
    """A process that forks, and the stand-ins for the interpreter that ask it to.

    Args:
        scripts: what it carries out; the rest is left to the interpreter.
        imports: what it imports before; where one is not installed, the forks do without as well.
        environment: its own.

    Attributes:
        path: a stand-in for `sys.executable`, to be started in its place.
        launcher: one for `horovodrun`.
        socket: where they ask.
        threads: how many it has once all is imported.
    """

    def __init__(self, scripts: Sequence[Path], imports: Sequence[str] = (), **environment: str) -> None:
        directory = Path(tempfile.mkdtemp(prefix="warm-"))  # A socket's path is short.
        directory.chmod(0o755)
        self.socket = str(directory / "socket")
        self.path = stand_in(directory / "python", self.socket, sys.executable)
        self.launcher = stand_in(directory / "horovodrun", self.socket, sys.executable, str(LAUNCHER))
        own = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONPATH"}
        with open(directory / "said.txt", "w") as said:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "server.py"), self.socket, ",".join(imports), *map(str, scripts)],
                cwd=str(ROOT), env={**own, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
                start_new_session=True)
        assert self._process.stdout
        self.threads = int(self._process.stdout.readline() or 0)
        if not self.threads:
            raise RuntimeError((directory / "said.txt").read_text())

    def end(self) -> None:
        """End the process and what it still carries out; the end of this process does that too."""
        self._process.communicate()


def stand_in(path: Path, *arguments: str) -> str:
    """A script that hands `arguments` and its own to the client."""
    # Without site packages it starts in a hundredth of a second.
    path.write_text(f"#!{sys.executable} -IS\nimport sys\nsys.path.append({str(HERE)!r})\n"
                    f"from client import main\nmain(*{arguments!r}, *sys.argv[1:])\n")
    path.chmod(0o755)
    return str(path)


@functools.lru_cache(maxsize=None)
def interpreter() -> WarmInterpreter:
    """That of these tests, started when it is first asked for."""
    return WarmInterpreter(SCRIPTS, IMPORTS)


def python() -> str:
    """What starts the command as `sys.executable` does, seconds faster."""
    return interpreter().path if POSSIBLE else sys.executable


def launcher() -> str:
    """What starts ranks as `horovodrun` does, seconds faster."""
    return interpreter().launcher if POSSIBLE else str(LAUNCHER)
