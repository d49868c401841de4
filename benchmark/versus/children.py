"""Processes that answer a question and end, so that nothing of one measurement is left in the next.

The process that asks imports neither TensorFlow nor PyTorch: Linux lets a child begin with its parent's peak memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Mapping, Sequence

from utils.errors import UserError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SHOWN = 400
"""Of the last words of a process that failed, in characters."""


def ask(module: str, question: Mapping[str, Any], limit: float, environment: Mapping[str, str]) -> Any:
    """What `python -m benchmark.versus.<module>` answers: the JSON in the last line of its output.

    Args:
        module: one that calls `answer`.
        question: what JSON can hold.
        limit: seconds that it may take.
        environment: variables that it has more.

    Raises:
        UserError: it failed, or took too long.
    """
    words = [sys.executable, "-m", f"benchmark.versus.{module}", json.dumps(question)]
    return json.loads(finished(words, limit, environment).strip().splitlines()[-1])


def finished(words: Sequence[str], limit: float, environment: Mapping[str, str]) -> str:
    """The standard output of a command that ends well, run from the project's directory; raises as `ask` does."""
    what = " ".join(words[1:4])
    try:
        done = subprocess.run(words, cwd=ROOT, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
                              capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{what}: not done after {limit:.0f} s", "a process within its --limit",
                        "raise --limit, or measure smaller inputs") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip())[-_SHOWN:]
        raise UserError(f"{what}: exit code {done.returncode}: {last}", "a process that ends well",
                        "if memory ran out, measure smaller inputs or batches")
    return done.stdout


def question() -> Any:
    """What this process was asked."""
    return json.loads(sys.argv[1])


def answer(found: Any) -> None:
    """Print the answer of this process, as its last words."""
    print(json.dumps(found), flush=True)
