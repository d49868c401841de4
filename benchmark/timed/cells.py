"""What is trained: a recipe, or a variant of it, on one fold with one seed for some minutes."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from benchmark.kit.recipes import digest
from runtime.settings.recipes import canonical_recipe, load_recipe
from runtime.settings.tree import settings_from
from utils.commands import quoted
from utils.errors import UserError, nearest

FOLDS = 5
ALL, NONE = "all", "none"
RULED = "sstem"
"""The data set whose folds can be cut by two rules."""
BY_FOLDS = (RULED, "folder")
"""Data sets that validate nothing without a fold."""
FIXED = ("dagm2007", "cityscapes")
"""Those that have no folds."""
OWN = ("--recipe", "--dataset", "--exec_mode", "--model_dir", "--log_dir", "--output", "--overwrite",
       "--resume_training", "--seed", "--crossvalidation_idx", "--split_rule", "--data_dir", "--max_steps",
       "--train_minutes", "--benchmark", "--save_checkpoints_steps", "--save_checkpoints_minutes",
       "--keep_checkpoint_max", "--checkpoint", "--ensemble", "--weights", "--input", "--compare_levels",
       "--resume_with_changes")
"""Flags of main.py that are the benchmark's to give."""


class Subject(NamedTuple):
    """What is compared.

    Attributes:
        recipe: as main.py takes it.
        variant: what differs from the recipe, in words; empty where nothing does.
        settings: all of its settings.
        origin: the digest of the recipe that a variant differs from; empty of a recipe itself.
    """

    recipe: str
    variant: str
    settings: Mapping[str, Any]
    origin: str = ""

    @property
    def name(self) -> str:
        """The recipe's name; of a file without its folders, which are those of one machine."""
        return os.path.basename(self.recipe)

    @property
    def dataset(self) -> str:
        """The data set that it trains on."""
        return str(self.settings.get("dataset", RULED))

    @property
    def digest(self) -> str:
        """Tells settings apart that have the same name."""
        return digest(self.settings)


class Cell(NamedTuple):
    """One training, and what must be the same for two of them to be the same.

    Attributes:
        recipe, variant, digest: of a `Subject`: its name, and so on.
        dataset: its data set.
        data: what `places.kind` says of where it lies.
        split_rule: empty for data sets that have but one.
        fold: None where a part of its own validates.
        seed: of everything random.
        minutes: the budget.
        flags: further ones of main.py, as a shell reads them.
        origin: the digest of the recipe itself.
    """

    recipe: str
    variant: str
    digest: str
    dataset: str
    data: str
    split_rule: str
    fold: Optional[int]
    seed: int
    minutes: float
    flags: str
    origin: str

    def __str__(self) -> str:
        """The name of its directory: readable, and its own."""
        digest = hashlib.sha256(json.dumps(self._asdict(), sort_keys=True).encode("utf-8")).hexdigest()[:8]
        recipe = re.sub("[^A-Za-z0-9.]+", "-", f"{os.path.splitext(self.recipe)[0]} {self.variant}").strip("-")
        fold = "" if self.fold is None else f"-fold{self.fold}"
        return f"{recipe}{fold}-seed{self.seed}-{self.minutes:g}min-{digest}"


class Wanted(NamedTuple):
    """What is asked for beside recipes.

    Attributes:
        folds: numbers, `ALL` or `NONE`; empty for what the data set needs.
        split_rules: empty for the default.
        seeds: how many, from 0.
        minutes: budgets.
        flags: further ones of main.py.
    """

    folds: Sequence[str]
    split_rules: Sequence[str]
    seeds: int
    minutes: Sequence[float]
    flags: Sequence[str]


def subject(name: str) -> Subject:
    """The recipe of a name.

    Raises:
        UserError: there is none.
    """
    return Subject(canonical_recipe(name), "", load_recipe(name).settings)


def varied(base: Subject, variant: str, changes: Mapping[str, Any]) -> Subject:
    """The subject with some settings changed.

    Raises:
        UserError: there is no such setting or value.
    """
    settings = {**base.settings, **changes}
    settings_from(settings)
    return Subject(base.recipe, variant, settings, base.digest)


def cells(subjects: Sequence[Subject], wanted: Wanted, data: Mapping[str, str]) -> List[Cell]:
    """All cells; those of a seed together and side by side, so that a comparison grows evenly.

    Args:
        subjects: what is compared.
        wanted: by what.
        data: by data set what `places.kind` says of it.

    Raises:
        UserError: a number is too small, a flag is the benchmark's own, two recipes have one name, a fold or a rule
            says nothing about the data set, or nothing would validate.
    """
    _check(subjects, wanted)
    flags = quoted(wanted.flags)
    return [Cell(own.name, own.variant, own.digest, own.dataset, data[own.dataset], rule, fold, seed, minutes,
                 flags, own.origin or own.digest)
            for seed in range(wanted.seeds) for minutes in wanted.minutes for own in subjects
            for rule in _rules(own, wanted) for fold in folds_of(own.dataset, wanted.folds)]


def folds_of(dataset: str, asked: Sequence[str]) -> Sequence[Optional[int]]:
    """The folds to train.

    Raises:
        UserError: the data set has none, or validates nothing without one, or one is no fold.
    """
    if dataset in FIXED and any(word != NONE for word in asked):
        raise UserError(f"--folds {' '.join(asked)} with the data set {dataset}, which has no folds",
                        "recipes whose data sets have folds", "leave --folds out, or measure those recipes apart")
    if not asked and dataset not in BY_FOLDS or list(asked) == [NONE]:
        if dataset in BY_FOLDS:
            raise UserError(f"--folds {NONE} with the data set {dataset}", f"a fold from 0 to {FOLDS - 1}, or {ALL}: "
                            "without one it has no validation split, and there is nothing to score",
                            "leave --folds out for all of them")
        return [None]
    if not asked or list(asked) == [ALL]:
        return range(FOLDS)
    if not all(word in map(str, range(FOLDS)) for word in asked):
        raise UserError(f"--folds {' '.join(asked)}", f"folds from 0 to {FOLDS - 1}, or {ALL}, or {NONE}",
                        "mend the list")
    return [int(word) for word in asked]


def _rules(own: Subject, wanted: Wanted) -> Sequence[str]:
    if own.dataset != RULED:
        return [""]
    return wanted.split_rules or [str(own.settings.get("split_rule", "partition"))]


def _check(subjects: Sequence[Subject], wanted: Wanted) -> None:
    least = min((wanted.seeds, *wanted.minutes))
    if least <= 0 or not all(minutes < float("inf") for minutes in wanted.minutes):
        raise UserError(f"--seeds {wanted.seeds}, --minutes {' '.join(f'{each:g}' for each in wanted.minutes)}",
                        "one seed or more, and minutes above 0", "mend the numbers")
    _require_names(subjects)
    for flag in wanted.flags:
        if flag.split("=")[0] in OWN:
            raise UserError(f"{flag} behind --", "flags that the benchmark does not give itself",
                            _instead(flag.split("=")[0]))
    if wanted.split_rules and not any(own.dataset == RULED for own in subjects):
        raise UserError(f"--split_rule {' '.join(wanted.split_rules)}", f"a recipe on {RULED}, whose folds it cuts",
                        "leave --split_rule out")


def _require_names(subjects: Sequence[Subject]) -> None:
    """Make sure that no two recipes would be taken for one."""
    digests: Dict[Tuple[str, str], str] = {}
    for own in subjects:
        if digests.setdefault((own.name, own.variant), own.digest) != own.digest:
            raise UserError(f"--recipes: two of the name {own.name} with different settings",
                            "recipes of names of their own", "rename one of the files")


def _instead(flag: str) -> str:
    known = ("--recipes", "--folds", "--split_rule", "--data_dir", "--minutes", "--seeds", "--out")
    close = {"--crossvalidation_idx": "--folds", "--train_minutes": "--minutes",
             "--dataset": "--recipes"}.get(flag, nearest(flag, known))
    return f"leave it out, or use {close} in front of --" if close else "leave it out"


def known_names(subjects: Iterable[Subject]) -> List[str]:
    """The data sets of some subjects, each once."""
    return list(dict.fromkeys(own.dataset for own in subjects))
