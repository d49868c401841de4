"""The data command: acquire a data set, write its synthetic twin, or check a directory."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from typing import Iterator, List, Sequence, Tuple

from datasets.acquire.contract import Entry, State
from datasets.acquire.courier import Courier
from datasets.acquire.fetch import Patience
from datasets.acquire.place import Shelf, files_under, scratch_space
from datasets.acquire.unpack import naming
from datasets.options import STAGING
from utils.commands import quoted
from utils.errors import UserError


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        directory: of the data set.
        sources: where its files are, together; empty for the entry's own sources, in turn.
        partial: accept counts other than the official ones.
        overwrite: move different files aside.
    """

    directory: str
    sources: Tuple[str, ...] = ()
    partial: bool = False
    overwrite: bool = False


def acquire(entry: Entry, request: Request, patience: Patience) -> None:
    """Bring the data set into the directory and check it; files that are there and sound are not fetched.

    Raises:
        UserError: it cannot be had, is not what was published, or differs from what is there. The first two tell the
            manual route. Half-fetched files stay in the directory's `.download`, and the next call goes on with them.
    """
    with _disk_trouble(request.directory), _no_empty_rest(request.directory):
        shelf = Shelf(request.directory, request.overwrite)
        names = _wanted(entry, shelf, request.partial)
        if names:
            try:
                _bring(entry, request, shelf, names, patience)
            except UserError as error:
                raise UserError(error.found, error.expected, _with_manual_route(error, entry, request)) from error
        else:
            print(f"everything is in {request.directory} already", flush=True)
        try:
            check(entry, request)
        except UserError as error:
            again = "" if names else "; this command with --overwrite brings all anew, and moves aside what differs"
            raise UserError(error.found, error.expected, error.repair + again) from error


def write_phantom(entry: Entry, request: Request) -> None:
    """Write the synthetic set into the directory, and check it; its counts are its own.

    Raises:
        UserError: different files are there.
    """
    with _disk_trouble(request.directory), _no_empty_rest(request.directory):
        with scratch_space(request.directory) as scratch:
            entry.write_phantom(scratch)
            files = {os.path.relpath(path, scratch): path for path in files_under(scratch)}
            Shelf(request.directory, request.overwrite).put(files)
        check(entry, dataclasses.replace(request, partial=True))


def check(entry: Entry, request: Request) -> None:
    """Print what the directory holds.

    Raises:
        UserError: something is wrong with it; every problem has been printed then, the first is raised.
    """
    if not os.path.isdir(request.directory):
        raise UserError(f"{request.directory}: no such directory", f"the directory of {entry.name}",
                        "mend --data_dir, or fetch the data by leaving --check out")
    report = entry.layout.check(request.directory, request.partial)
    print(f"{entry.name} in {request.directory}")
    for line in report.lines + tuple(f"problem: {problem.found}" for problem in report.problems):
        print("  " + line.replace("\n", "\n  "), flush=True)
    if report.problems:
        raise report.problems[0]


def manual_route(entry: Entry, request: Request) -> str:
    """How a person gets the data set without this command's downloads."""
    tree = getattr(entry.layout, "tree", None)
    words = ["--dataset", entry.name, *(["--tree", tree] if tree else []), *["--partial"] * request.partial,
             "--data_dir", request.directory]
    others = [name for name in entry.layout.archives if name not in entry.names]
    also = f", or {', '.join(others)}" if others else ""
    return (f"By hand: get {', '.join(entry.names)}{also}, or an archive that holds them, from\n"
            f"  {entry.home}\n"
            f"and pass the directory or the archive that you got:\n"
            f"  python download_dataset.py {quoted(words)} --source PATH\n"
            f"A synthetic set for trying things out comes with --phantom instead of --source."
            + (f"\n{entry.note}" if entry.note else ""))


def _wanted(entry: Entry, shelf: Shelf, partial: bool) -> List[str]:
    """What must be brought: what is not there; with --overwrite all, where nothing lacks and something is damaged."""
    states = {name: entry.layout.state(shelf.directory, name) for name in entry.names}
    # Said before anything is fetched.
    shelf.refuse_conflicts([name for name in states if states[name] is State.DIFFERENT])
    lacking = [name for name in states if states[name] is not State.SOUND]
    damaged = not lacking and shelf.overwrite and entry.layout.check(shelf.directory, partial).problems
    return list(states) if damaged else lacking


def _bring(entry: Entry, request: Request, shelf: Shelf, names: Sequence[str], patience: Patience) -> None:
    courier = Courier(entry, os.path.join(request.directory, STAGING), patience)
    alternatives = [request.sources] if request.sources else [(source,) for source in entry.sources]
    failures: List[UserError] = []
    if not alternatives:
        raise UserError(f"this command knows no address that serves {', '.join(names)}", "files fetched by hand",
                        "get them as told below")
    for sources in alternatives:
        try:
            with naming(courier.archives):
                roots = [root for source in sources for root in courier.bring(source, names)]
                entry.layout.install(names, roots, shelf, request.partial)
        except UserError as error:
            failures.append(error)
        else:
            shutil.rmtree(courier.staging, ignore_errors=True)
            return
        finally:
            courier.tidy()
    raise UserError("\n".join(error.found for error in failures), failures[-1].expected, failures[-1].repair)


def _with_manual_route(error: UserError, entry: Entry, request: Request) -> str:
    return f"{error.repair}\n\n{manual_route(entry, request)}"


@contextlib.contextmanager
def _no_empty_rest(directory: str) -> Iterator[None]:
    # An empty ./data/<name> left behind by a failure would keep main.py from falling back on the synthetic set.
    existed = os.path.lexists(directory)
    try:
        yield
    finally:
        if not existed:
            with contextlib.suppress(OSError):
                os.rmdir(directory)


@contextlib.contextmanager
def _disk_trouble(directory: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{error.filename or directory}: {error.strerror or error}",
                        "a directory that this user may write, on a disk with room for the data",
                        "give another --data_dir, or mend the permissions") from error
