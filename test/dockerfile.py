"""Executes a Dockerfile in a directory tree, without a Docker engine: what test/try_dockerfile.sh does its steps with.

Knows the instructions that the project's Dockerfiles use, and refuses the others rather than skip them. The base image
is what lies in the tree; no layers are kept. Needs root, for chroot. Standard library alone.
"""

from __future__ import annotations

import argparse
import os
import posixpath
import re
import shutil
import subprocess
import sys
import time
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from .dockerfile_text import DockerfileError, Ignored, Instruction, pairs, parse, words, words_of_json

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KNOWN = ("FROM", "ARG", "ENV", "LABEL", "COPY", "RUN", "USER", "WORKDIR", "CMD")
LENT = re.compile(r"(PIP_\w+|(?:https?|no)_proxy|SSL_CERT_FILE)", re.IGNORECASE)
"""Variables of the caller that installing steps are given, as a Docker client lends its proxies."""


class Identity(NamedTuple):
    """Who a step runs as."""

    user: int
    group: int
    groups: Tuple[int, ...]
    home: str


Enter = Callable[[str, Identity, str, Dict[str, str], Sequence[str]], int]


def enter(tree: str, identity: Identity, workdir: str, environment: Dict[str, str], command: Sequence[str]) -> int:
    """Run `command` inside `tree` and return its exit code."""
    def change() -> None:
        os.chroot(tree)
        os.chdir(workdir)
        os.setgroups(identity.groups)
        os.setgid(identity.group)
        os.setuid(identity.user)
        os.umask(0o022)

    # With the environment's PATH, and not the caller's, the command is found as inside a container.
    return subprocess.run(list(command), env=environment, preexec_fn=change, stdin=subprocess.DEVNULL,  # noqa: PLW1509
                          check=False).returncode


class Image:
    """An image in the making: a tree, and what is said of it.

    Args:
        tree: the directory that holds the base image's files.
        context: the directory that COPY takes from.
        arguments: the build arguments given.
        lent: variables that RUN steps get besides, and the image does not keep.
        entered: runs a command inside the tree.
    """

    def __init__(self, tree: str, context: str, arguments: Optional[Dict[str, str]] = None,
                 lent: Optional[Dict[str, str]] = None, entered: Enter = enter) -> None:
        self.tree, self.context, self.entered = os.path.realpath(tree), context, entered
        self.given, self.lent = dict(arguments or {}), dict(lent or {})
        self.before_from: Dict[str, str] = {}
        self.arguments: Dict[str, str] = {}
        self.environment: Dict[str, str] = {"PATH": PATH}
        self.labels: Dict[str, str] = {}
        self.base, self.user, self.workdir = "", "0", "/"
        self.command: List[str] = []
        ignored = os.path.join(context, ".dockerignore")
        self.ignored = Ignored(_read(ignored) if os.path.exists(ignored) else "")

    def execute(self, instruction: Instruction) -> None:
        """Carry out one instruction.

        Raises:
            DockerfileError: it is not known, or wrong, or its command failed.
        """
        try:
            if instruction.name not in KNOWN:
                raise DockerfileError(f"{instruction.name} is not known")
            if not self.base and instruction.name not in ("FROM", "ARG"):
                raise DockerfileError(f"{instruction.name} before FROM")
            getattr(self, f"_{instruction.name.lower()}")(instruction.value)
        except DockerfileError as error:
            raise DockerfileError(f"line {instruction.line}: {error}") from error

    @property
    def variables(self) -> Dict[str, str]:
        """What an instruction can name: ENV hides ARG."""
        return {**self.arguments, **self.environment} if self.base else self.before_from

    def run(self, command: Sequence[str], user: str = "", environment: Optional[Dict[str, str]] = None) -> int:
        """As `docker run --user USER --env ... IMAGE COMMAND`: the exit code of `command`."""
        return self._entered(user or self.user, {**self.environment, **(environment or {})}, command)

    def identity(self, user: str) -> Identity:
        """Who USER[:GROUP], names or numbers, is in the tree.

        Raises:
            DockerfileError: a name that the tree does not know.
        """
        name, _, group_name = user.partition(":")
        accounts, groups = self._records("etc/passwd"), self._records("etc/group")
        account = next((record for record in accounts if name in (record[0], record[2])), None)
        if account is None and not name.isdigit():
            raise DockerfileError(f"user {name} is not in the image's /etc/passwd")
        number = int(account[2] if account else name)
        group = int(account[3]) if account else 0
        others: Tuple[int, ...] = ()
        if group_name:
            record = next((record for record in groups if group_name in (record[0], record[2])), None)
            if record is None and not group_name.isdigit():
                raise DockerfileError(f"group {group_name} is not in the image's /etc/group")
            group = int(record[2] if record else group_name)
        elif account:
            others = tuple(int(record[2]) for record in groups if account[0] in record[3].split(","))
        return Identity(number, group, others, account[5] if account else "/")

    def _records(self, name: str) -> List[List[str]]:
        path = os.path.join(self.tree, name)
        return [line.split(":") for line in _read(path).splitlines()] if os.path.exists(path) else []

    def _entered(self, user: str, environment: Dict[str, str], command: Sequence[str]) -> int:
        identity = self.identity(user)
        return self.entered(self.tree, identity, self.workdir, {"HOME": identity.home, **environment}, command)

    def _from(self, value: str) -> None:
        if self.base:
            raise DockerfileError("a second FROM is not known")
        image = words(value, self.before_from)
        if len(image) != 1:
            raise DockerfileError(f"FROM {value} is not known")
        self.base = image[0]

    def _arg(self, value: str) -> None:
        name, equals, default = value.partition("=")
        if not re.fullmatch(r"\w+", name):
            raise DockerfileError(f"ARG {value} is not known")
        known = self.arguments if self.base else self.before_from
        if name in self.given:
            known[name] = self.given[name]
        elif equals:
            known[name] = " ".join(words(default, self.variables))
        elif self.base and name in self.before_from:
            known[name] = self.before_from[name]

    def _env(self, value: str) -> None:
        self.environment.update(pairs(value, self.variables))

    def _label(self, value: str) -> None:
        self.labels.update(pairs(value, self.variables))

    def _cmd(self, value: str) -> None:
        self.command = words_of_json(value)

    def _user(self, value: str) -> None:
        user = " ".join(words(value, self.variables))
        self.identity(user)
        self.user = user

    def _workdir(self, value: str) -> None:
        self.workdir = posixpath.normpath(posixpath.join(self.workdir, " ".join(words(value, self.variables))))
        os.makedirs(self._inside(self.workdir), exist_ok=True)

    def _run(self, value: str) -> None:
        command = words_of_json(value) if value.startswith("[") else ["/bin/sh", "-c", value]
        code = self._entered(self.user, {**self.lent, **self.arguments, **self.environment}, command)
        if code:
            raise DockerfileError(f"the command ended with {code}")

    def _copy(self, value: str) -> None:
        named = words(value, self.variables)
        if len(named) < 2:
            raise DockerfileError(f"COPY {value}: a source and a destination are expected")
        sources, target = named[:-1], posixpath.join(self.workdir, named[-1])
        if len(sources) > 1 and not target.endswith("/"):
            raise DockerfileError("COPY of several sources: the destination must end with /")
        for source in sources:
            self._copy_one(source, target)

    def _copy_one(self, source: str, target: str) -> None:
        relative = posixpath.normpath(source.lstrip("/") or ".")
        if re.search(r"[*?\[]", relative) or relative.split("/")[0] == "..":
            raise DockerfileError(f"COPY {source}: patterns and paths outside the context are not known")
        path = os.path.join(self.context, relative)
        if not os.path.lexists(path) or (relative != "." and self.ignored(relative)):
            raise DockerfileError(f"COPY {source}: not in the context")
        if os.path.isdir(path) and not os.path.islink(path):
            for name in self.files(relative):
                self._place(name, posixpath.join(target, posixpath.relpath(name, relative)))
        else:
            into = target.endswith("/") or os.path.isdir(self._inside(target))
            self._place(relative, posixpath.join(target, posixpath.basename(relative)) if into else target)

    def files(self, directory: str) -> Iterator[str]:
        """What of a directory of the context goes into the image: its files and directories, relative to the context.

        A directory that is kept out is looked into all the same: a later rule may take something of it in again.
        """
        for name in sorted(os.listdir(os.path.join(self.context, directory))):
            relative = posixpath.normpath(posixpath.join(directory, name))
            path = os.path.join(self.context, relative)
            if not self.ignored(relative):
                yield relative
            if os.path.isdir(path) and not os.path.islink(path):
                yield from self.files(relative)

    def _place(self, name: str, target: str) -> None:
        source, path = os.path.join(self.context, name), self._inside(target)
        if os.path.isdir(source) and not os.path.islink(source):
            os.makedirs(path, exist_ok=True)
            shutil.copymode(source, path)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if os.path.lexists(path):
                os.unlink(path)
            shutil.copy2(source, path, follow_symlinks=False)
        if os.geteuid() == 0:
            os.chown(path, 0, 0, follow_symlinks=False)

    def _inside(self, path: str) -> str:
        """Where a path of the image lies; a link in the tree must not lead a copy out of it."""
        place = os.path.join(self.tree, os.path.relpath(path, "/"))
        above = os.path.realpath(os.path.dirname(place) if path != "/" else place)
        if os.path.commonpath([self.tree, above]) != self.tree or os.path.islink(place):
            raise DockerfileError(f"{path}: behind a symbolic link of the image")
        return place


def build(image: Image, text: str, say: Callable[[str], None] = print) -> None:
    """Execute the Dockerfile `text`; one line is said for each step before it begins, and for its time.

    Raises:
        DockerfileError: an instruction is unknown, and then nothing is executed; or one is wrong, or a command failed.
    """
    instructions = parse(text)
    for instruction in instructions:
        if instruction.name not in KNOWN:
            raise DockerfileError(f"line {instruction.line}: {instruction.name} is not known")
    for number, instruction in enumerate(instructions, 1):
        begun = time.monotonic()
        say(f"step {number}/{len(instructions)}: {instruction.name} {instruction.value}")
        image.execute(instruction)
        took = time.monotonic() - begun
        if took >= 1:
            say(f"  took {took:.0f} s")


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def _pair(text: str) -> Tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text}: NAME=VALUE is expected")
    return name, value


def main(arguments: Optional[Sequence[str]] = None, entered: Enter = enter) -> int:
    """Build, then run the commands given; 0, or 1 after a line that says what failed."""
    parser = argparse.ArgumentParser(description="Execute a Dockerfile in a tree that holds its base image.")
    parser.add_argument("dockerfile")
    parser.add_argument("context")
    parser.add_argument("tree")
    parser.add_argument("--build-arg", type=_pair, action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--env", type=_pair, action="append", default=[], metavar="NAME=VALUE",
                        help="for the commands that are run afterwards")
    parser.add_argument("--run", nargs=2, action="append", default=[], metavar=("USER", "COMMAND"),
                        help='run COMMAND by the image\'s CMD as USER ("" is the image\'s)')
    flags = parser.parse_args(arguments)
    lent = {name: value for name, value in os.environ.items() if LENT.fullmatch(name)}
    image = Image(flags.tree, flags.context, dict(flags.build_arg), lent, entered)

    def say(text: str) -> None:
        print(text, flush=True)

    try:
        build(image, _read(flags.dockerfile), say)
        for user, command in flags.run:
            say(f"run as {user or image.user}: {command}")
            begun = time.monotonic()
            code = image.run([*image.command, "-c", command], user, dict(flags.env))
            if code:
                raise DockerfileError(f"{command}: ended with {code}")
            say(f"  took {time.monotonic() - begun:.0f} s")
    except (OSError, DockerfileError) as error:
        print(f"{flags.dockerfile}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
