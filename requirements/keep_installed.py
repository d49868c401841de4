"""Rewrites the pins of a requirements file so that packages which are installed already stay as they are.

    python requirements/keep_installed.py requirements/constraints.txt

For images that bring a TensorFlow: what it was built and tested with is not replaced. The rest is pinned as before.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Dict

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==\S+")


def kept(text: str, installed: Dict[str, str]) -> str:
    """The requirements `text` with every pin of an `installed` package at the version that is there."""
    return "".join(_kept(line, installed) for line in text.splitlines(keepends=True))


def normalised(name: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _kept(line: str, installed: Dict[str, str]) -> str:
    pin = _PIN.match(line)
    version = installed.get(normalised(pin.group(1))) if pin else None
    if pin is None or version is None:
        return line
    return f"{pin.group(1)}=={version}{line[pin.end():]}"


def _installed() -> Dict[str, str]:
    # pip itself, because Python 3.7 has no importlib.metadata.
    listed = subprocess.run([sys.executable, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
                            stdout=subprocess.PIPE, check=True)
    return {normalised(package["name"]): package["version"] for package in json.loads(listed.stdout)}


def main() -> None:
    """Rewrite the file that the command line names, and say which pins changed."""
    path = sys.argv[1]
    with open(path, encoding="utf-8") as stream:
        before = stream.read()
    after = kept(before, _installed())
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(after)
    for old, new in zip(before.splitlines(), after.splitlines()):
        if old != new:
            print(f"the image's {new} stays, instead of {old.split('==')[1]}")


if __name__ == "__main__":
    main()
