"""Reads Dockerfiles and .dockerignore: instructions, words with variables put in, and what is kept out of a context.

What the project's Dockerfiles do not use is refused. Standard library alone.
"""

from __future__ import annotations

import json
import posixpath
import re
from typing import Dict, Iterator, List, Match, NamedTuple, Pattern, Tuple


class DockerfileError(Exception):
    """The Dockerfile says something wrong, or something that is not known here."""


class Instruction(NamedTuple):
    """An instruction: its line, name, and all that follows, with continuation lines joined."""

    line: int
    name: str
    value: str


def parse(text: str) -> List[Instruction]:
    """The instructions of a Dockerfile."""
    if re.match(r"#\s*(escape|syntax)\s*=", text, re.IGNORECASE):
        raise DockerfileError("line 1: parser directives are not known")
    found: List[Instruction] = []
    parts: List[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        start = start if parts else number
        continued = line.rstrip().endswith("\\")
        parts.append(line.rstrip()[:-1] if continued else line.strip())
        if not continued:
            found.append(_instruction(start, "".join(parts)))
            parts = []
    if parts:
        raise DockerfileError(f"line {start}: the last line is continued")
    return found


def _instruction(line: int, text: str) -> Instruction:
    name, _, value = text.strip().partition(" ")
    if name.upper() in ("RUN", "COPY") and re.search(r"<<-?\s*['\"]?[A-Za-z_]", value):
        raise DockerfileError(f"line {line}: here-documents are not known")
    if value.lstrip().startswith("--"):
        raise DockerfileError(f"line {line}: {name} with {value.split()[0]} is not known")
    return Instruction(line, name.upper(), value.strip())


# Words and variables ----------------------------------------------------------------------------------------------


_VARIABLE = r"\$(?P<name>[A-Za-z_]\w*)|\$\{(?P<braced>[A-Za-z_]\w*)(?::(?P<rule>[-+])(?P<other>[^{}$]*))?\}"
_TOKEN = re.compile(rf"""'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|\\(?P<escaped>.)|{_VARIABLE}"""
                    r"""|(?P<space>\s+)|(?P<plain>[^\s'"\\$]+)""")
_QUOTED = re.compile(rf"""\\(?P<escaped>["\\$])|{_VARIABLE}|(?P<plain>[^\\$]+|\\)""")


def words(text: str, variables: Dict[str, str]) -> List[str]:
    """`text` in words, with quotes taken off and variables put in."""
    found: List[str] = []
    fresh = True
    for token in _tokens(_TOKEN, text):
        if token.group("space") is not None:
            fresh = True
            continue
        if fresh:
            found.append("")
            fresh = False
        found[-1] += _meaning(token, variables)
    return found


def _tokens(pattern: Pattern[str], text: str) -> Iterator[Match[str]]:
    at = 0
    while at < len(text):
        token = pattern.match(text, at)
        if token is None:
            raise DockerfileError(f"cannot read {text[at:]}")
        yield token
        at = token.end()


def _meaning(token: Match[str], variables: Dict[str, str]) -> str:
    groups = token.groupdict()
    if groups.get("double") is not None:
        return "".join(_meaning(inner, variables) for inner in _tokens(_QUOTED, groups["double"]))
    name = groups["name"] or groups["braced"]
    if name is None:
        return next(str(groups[key]) for key in ("single", "escaped", "plain") if groups.get(key) is not None)
    value = variables.get(name, "")
    if groups["rule"] == "-":
        return value or str(groups["other"])
    if groups["rule"] == "+":
        return str(groups["other"]) if value else ""
    return value


def pairs(text: str, variables: Dict[str, str]) -> Dict[str, str]:
    found = {}
    for word in words(text, variables):
        name, equals, value = word.partition("=")
        if not equals:
            raise DockerfileError(f"{word}: NAME=VALUE is expected")
        found[name] = value
    return found


def words_of_json(value: str) -> List[str]:
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(word, str) for word in found):
        raise DockerfileError(f'{value}: a list in JSON is expected, as ["bash"]')
    return found


# What .dockerignore keeps out ---------------------------------------------------------------------------------------


class Ignored:
    """The rules of a .dockerignore file: the last that matches a path, or a directory above it, decides."""

    def __init__(self, text: str) -> None:
        self._rules: List[Tuple[bool, Pattern[str]]] = []
        for line in (line.strip() for line in text.splitlines() if not line.startswith("#")):
            pattern = line[1:].strip() if line.startswith("!") else line
            if pattern:
                cleaned = posixpath.normpath(pattern).lstrip("/")
                self._rules.append((not line.startswith("!"), re.compile(_regular(cleaned))))

    def __call__(self, path: str) -> bool:
        """Whether `path`, relative to the context, is kept out."""
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        out = False
        for keeps_out, rule in self._rules:
            if any(rule.fullmatch(prefix) for prefix in above):
                out = keeps_out
        return out


def _regular(pattern: str) -> str:
    if re.search(r"[\[\]\\]", pattern):
        raise DockerfileError(f".dockerignore: {pattern}: classes and escapes are not known")
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern))
