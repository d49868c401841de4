"""A place for loop.sh: an environment that is there already, so that nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List

from .conftest import ROOT

SECONDS = 200
TOOLS = ("bash", "cksum", "dirname", "mkdir")
UNET = ["--device", "cpu", "--max_steps", "2"]

# An interpreter that only makes what training would leave behind.
TRAINS = """last=; for word in "$@"; do
  [[ $last == --model_dir ]] && mkdir -p "$word/model_checkpoint"; last=$word
done
exit 0"""


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)
    return path


def stamp(requirements: str) -> str:
    """What loop.sh writes beside an environment that has these requirements."""
    files = [str(ROOT / "requirements" / name) for name in ("base.txt", "constraints.txt", requirements)]
    text = b"".join(Path(name).read_bytes() for name in files)
    return subprocess.run(["cksum"], input=text, stdout=subprocess.PIPE, check=True, timeout=SECONDS).stdout.decode()


class House:
    """A directory with an environment, and a place for results whose name has a space.

    Args:
        directory: the directory.
        python: the body of the environment's interpreter, a shell script.
    """

    def __init__(self, directory: Path, python: str) -> None:
        self.directory = directory
        self.venv = directory / "en v"
        self.results = directory / "re sults"
        self.calls = directory / "calls"
        executable(self.venv / "bin" / "python", f'printf "%s\\n" "$*" >>"{self.calls}"\n{python}')
        executable(self.venv / "bin" / "pip", "exit 1")
        (self.venv / ".installed").write_text(stamp("cpu.txt"))
        self.has_gpu(False)
        self.has_bfloat16(True)

    def has_bfloat16(self, there: bool) -> None:
        """A `cat` that reads the processor's flags from a paper of its own."""
        (self.directory / "cpuinfo").write_text("flags\t\t: fpu avx2" + " amx_bf16" * there + "\n")
        executable(self.directory / "bin" / "cat", f"""[[ $1 != /proc/cpuinfo ]] || set -- "{self.directory}/cpuinfo"
exec {shutil.which("cat")} "$@\"""")

    def has_gpu(self, there: bool) -> None:
        executable(self.directory / "bin" / "nvidia-smi", "exit 0" if there else "exit 9")

    def loop(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        """Run loop.sh from a directory that is not the project's."""
        return subprocess.run(self._words(*arguments), cwd=str(self.directory), timeout=SECONDS,
                              env=self._environment(**environment), capture_output=True, text=True, check=False)

    def started(self) -> subprocess.Popen:
        """The same, which is not waited for."""
        return subprocess.Popen(self._words(), cwd=str(self.directory), env=self._environment(),
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _words(self, *arguments: str) -> List[str]:
        return ["bash", str(ROOT / "loop.sh"), *arguments]

    def _environment(self, **environment: str) -> Dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in ("DATA_DIR", "PYTHON")}
        path = os.pathsep.join([str(self.directory / "bin"), inherited["PATH"]])
        return {**inherited, "VENV": str(self.venv), "RESULTS": str(self.results), "PATH": path, **environment}

    def called(self) -> List[str]:
        """The command lines that the environment's interpreter was given."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def runs(self) -> List[str]:
        return sorted(os.listdir(str(self.results))) if self.results.exists() else []
