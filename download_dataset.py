"""The data command: fetch, verify, synthesise or check a data set. `python download_dataset.py --help` lists flags."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Mapping, NoReturn, Optional, Sequence

from datasets.acquire.trees import TREES, planted
from datasets.options import CLASSES, ORIGINAL
from utils.commands import exit_code
from utils.errors import UserError, unknown_flag

if TYPE_CHECKING:  # the command tells what its interpreter lacks: imports of other packages wait until it runs
    from datasets.acquire.contract import Entry
    from datasets.acquire.fetch import Patience

_HELP = "flags as `python download_dataset.py --help` lists them"


def main(arguments: Optional[Sequence[str]] = None, catalogue: Optional[Mapping[str, Entry]] = None,
         patience: Optional[Patience] = None) -> int:
    """Carry out a command line and return its exit code: 0, 2 for a user's error, 130 for Ctrl-C.

    Args:
        arguments: the words after the command's name; those of the process by default.
        catalogue: the data sets by name; all of the project by default.
        patience: how long a server is given; the usual by default.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    return exit_code(lambda: _run(words, catalogue, patience), "--debug" in words)


def _run(words: Sequence[str], catalogue: Optional[Mapping[str, Entry]], patience: Optional[Patience]) -> None:
    from datasets.acquire import command
    from datasets.acquire.fetch import Patience
    from datasets.acquire.sources import CATALOGUE, entry_of

    catalogue = catalogue or CATALOGUE
    flags = _parse(words, catalogue)
    entry = entry_of(flags.dataset, catalogue)
    if flags.classes is not None:
        entry = _narrowed(entry, flags.classes)
    if flags.tree is not None:
        entry = planted(entry, flags.tree)
    directory = flags.data_dir or os.path.join(".", "data", entry.name)
    request = command.Request(directory, tuple(flags.source or ()), flags.partial, flags.overwrite)
    if flags.check:
        command.check(entry, request)
    elif flags.phantom:
        command.write_phantom(entry, request)
    else:
        command.acquire(entry, request, patience or Patience())


def _narrowed(entry: Entry, text: str) -> Entry:
    if entry.narrowed is None:
        raise UserError(f"--classes {text} with {entry.name}", "a data set that has classes", "leave --classes out")
    numbers = [int(word) if word.strip().isdigit() else 0 for word in text.split(",")]
    if not all(1 <= number <= CLASSES for number in numbers):
        raise UserError(f"--classes {text}", f"numbers from 1 to {CLASSES} with commas between",
                        "give for instance --classes 1,2")
    return entry.narrowed(tuple(sorted(set(numbers))))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"command line: {message}", _HELP, "mend the command")


def _parse(words: Sequence[str], catalogue: Mapping[str, Entry]) -> argparse.Namespace:
    parser = _Parser(prog="download_dataset.py", allow_abbrev=False,
                     description="Fetch a data set and verify it; or write its synthetic twin, or check a directory.")
    parser.add_argument("--dataset", default="sstem", metavar="{" + ",".join(sorted(catalogue)) + "}",
                        help="data set (default: sstem)")
    parser.add_argument("--data_dir", metavar="DIR", help="where it goes (default: ./data/<dataset>)")
    parser.add_argument("--classes", metavar="N,N", help="of dagm2007: the classes to get or to check (default: those "
                        "that are free, or there), to synthesise (default: 1)")
    parser.add_argument("--tree", choices=TREES, help="of the fundus sets and cityscapes: files as published, or "
                        f"converted to PNG images and class labels (default: {ORIGINAL})")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--source", nargs="+", metavar="SOURCE",
                      help="take it from here instead: directories, archives (.zip, .tar, .tar.gz, .tgz), or addresses")
    ways.add_argument("--phantom", action="store_true", help="write the synthetic set; no network")
    ways.add_argument("--check", action="store_true", help="verify what the directory holds, and print it")
    parser.add_argument("--partial", action="store_true", help="accept missing files and counts that are not official")
    parser.add_argument("--overwrite", action="store_true",
                        help="move files that differ aside (name.1) instead of refusing; nothing is deleted")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    flags, unknown = parser.parse_known_args(words)
    if unknown:
        names = [name for action in parser._actions for name in action.option_strings]
        raise unknown_flag(unknown[0], names, "download_dataset.py")
    return flags


if __name__ == "__main__":
    sys.exit(main())
