"""From what `--source` names (directory, file, archive, URL) to trees on this disk."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
from typing import Dict, List, Sequence
from urllib.parse import quote, unquote, urlsplit

from datasets.acquire.contract import Entry, Remote
from datasets.acquire.fetch import Patience, fetch, require_sha256
from datasets.acquire.unpack import is_archive, unpack
from utils.errors import UserError

_EXPECTED = "a directory, a .zip, .tar, .tar.gz or .tgz archive, or an http(s) address of one or of a folder of files"


@dataclasses.dataclass(frozen=True)
class Courier:
    """Brings sources of one data set into a staging directory.

    Attributes:
        entry: the data set.
        staging: the directory for downloads, half ones too, and for what archives unpack to.
        patience: for servers.
        archives: sources by the directories that they were unpacked to.
    """

    entry: Entry
    staging: str
    patience: Patience
    archives: Dict[str, str] = dataclasses.field(default_factory=dict)

    def bring(self, source: str, names: Sequence[str]) -> List[str]:
        """Directories and files that hold what `source` has to offer; of a folder at a URL, the files `names`.

        Raises:
            UserError: there is no such source, it cannot be fetched or unpacked, or a file from it is not accepted.
        """
        if "://" in source:
            return self._from_url(source, names)
        if os.path.isdir(source):
            return [source]
        if os.path.isfile(source) and is_archive(source):
            tree = self._tree(source, os.path.basename(source))
            shutil.rmtree(tree, ignore_errors=True)  # what an unpacking left that was killed
            unpack(source, tree, self.entry.limits)
            return [tree]
        if os.path.isfile(source) and os.path.basename(source) in self.entry.names:
            return [source]
        found = "neither a directory nor an archive" if os.path.exists(source) else "no such file or directory"
        raise UserError(f"--source {source}: {found}", _EXPECTED, "mend the path")

    def tidy(self) -> None:
        """Remove what archives were unpacked to, and directories that are empty; downloads stay, half ones too."""
        shutil.rmtree(os.path.join(self.staging, "unpacked"), ignore_errors=True)
        for directory, _, _ in os.walk(self.staging, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)

    def _from_url(self, source: str, names: Sequence[str]) -> List[str]:
        if urlsplit(source).scheme not in ("http", "https"):
            raise UserError(f"--source {source}: not an http(s) address", _EXPECTED, "mend the address")
        name = os.path.basename(unquote(urlsplit(source).path))
        if is_archive(name):
            return [self._fetch(source, self._remote(name))]
        return [self._fetch(f"{source.rstrip('/')}/{quote(name)}", self._remote(name)) for name in names]

    def _remote(self, name: str) -> Remote:
        return next((remote for remote in self.entry.remotes if remote.name == name), Remote(name))

    def _fetch(self, url: str, remote: Remote) -> str:
        # One directory per address, so that half a file of one host is never continued with another's.
        target = os.path.join(self.staging, _key(url), remote.name)
        tree = self._tree(url, remote.name)

        def accept(path: str) -> None:
            if remote.sha256 is not None:
                require_sha256(path, remote.sha256)
            if is_archive(remote.name):
                shutil.rmtree(tree, ignore_errors=True)
                unpack(path, tree, self.entry.limits, remote.name)
            else:
                self.entry.layout.accept(remote.name, path)

        fetch(url, target, accept, self.patience)
        return tree if is_archive(remote.name) else target

    def _tree(self, source: str, archive: str) -> str:
        # Under the archive's own name: some archives leave out the folder that they are called after.
        tree = os.path.join(self.staging, "unpacked", _key(source), archive.partition(".")[0])
        self.archives[tree] = source
        return tree


def _key(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8")).hexdigest()[:12]
