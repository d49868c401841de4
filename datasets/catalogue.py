"""The data sets by name, and where each is found. A new data set is one module and one line here."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import pooch

from datasets.base import Dataset
from datasets.cityscapes import Cityscapes
from datasets.dagm2007 import DAGM2007, class_of
from datasets.dagm2007_layouts import LAYOUTS
from datasets.folder import DEFAULTS, RECIPE, Folder
from datasets.folder_elsewhere import Elsewhere
from datasets.fundus import opener
from datasets.fundus_families import FAMILIES
from datasets.options import CONVERTED, NO_FOLD, ORIGINAL, PHANTOM, STAGING, DataOptions, fetching
from datasets.phantoms import cityscapes as cityscapes_phantom
from datasets.phantoms import dagm2007 as dagm2007_phantom
from datasets.phantoms import folder as folder_phantom
from datasets.phantoms import fundus as fundus_phantom
from datasets.phantoms import sstem as sstem_phantom
from datasets.sstem import SSTEM
from utils.errors import UserError, unknown_name

Restore = Callable[[str, DataOptions, int, Mapping[str, Any]], Dataset]


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the catalogue knows of a data set.

    Attributes:
        dataset: its class, called with (directory, options, seed).
        write_phantom: writes the synthetic set that options mean into a directory.
        phantom_version: part of the name that the synthetic set is cached under.
        part: what else is part of it, where the set is written in parts.
        without: options that say nothing about it, and must not be given.
        layouts: those that it can be asked for in.
        defaults: settings that it has where neither flags nor a recipe say anything, by name.
        recipe: the name of the recipe of runs that ask for neither a recipe nor a network.
        restore: opens it with what `Dataset.facts` gave when a run began, called with (directory, options, seed,
            facts); None for sets that have nothing to find out.
        elsewhere: likewise opens another directory, all of whose labelled images are scored; None for sets of fixed
            splits.
    """

    dataset: Callable[[str, DataOptions, int], Dataset]
    write_phantom: Callable[[str, DataOptions], None]
    phantom_version: int
    part: Callable[[DataOptions], str] = lambda options: ""
    without: Tuple[str, ...] = ()
    layouts: Tuple[str, ...] = ()
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recipe: Optional[str] = None
    restore: Optional[Restore] = None
    elsewhere: Optional[Restore] = None


_OF_DAGM2007 = ("class_id", "train_on", "validation_fraction", "defective_share")
_NEEDED = {"class_id": "classes to choose among", "train_on": "defective images among others",
           "validation_fraction": "training images to hold out at will",
           "defective_share": "defective images among others", "crossvalidation_idx": "folds",
           "split_rule": "rules for its folds", "fov": "fields of view", "group_by": "specimens to keep together"}
"""What a data set must have for an option to say something."""


def _fundus(name: str) -> Entry:
    return Entry(opener(name), lambda directory, options: fundus_phantom.write_fundus(directory, name),
                 fundus_phantom.VERSION, without=(*_OF_DAGM2007, "split_rule", "group_by"),
                 layouts=(ORIGINAL, CONVERTED))


DATASETS: Dict[str, Entry] = {
    "sstem": Entry(SSTEM, lambda directory, options: sstem_phantom.write_sstem(directory), sstem_phantom.VERSION,
                   without=(*_OF_DAGM2007, "fov", "group_by")),
    "dagm2007": Entry(DAGM2007,
                      lambda directory, options: dagm2007_phantom.write_dagm2007(directory, (class_of(options),)),
                      dagm2007_phantom.VERSION, lambda options: f"-class{class_of(options)}",
                      without=("crossvalidation_idx", "split_rule", "fov", "group_by"), layouts=tuple(LAYOUTS)),
    **{name: _fundus(name) for name in FAMILIES},
    "cityscapes": Entry(Cityscapes, lambda directory, options: cityscapes_phantom.write_cityscapes(directory),
                        cityscapes_phantom.VERSION,
                        without=(*_OF_DAGM2007, "crossvalidation_idx", "split_rule", "fov", "group_by"),
                        layouts=(ORIGINAL, CONVERTED)),
    "folder": Entry(Folder, lambda directory, options: folder_phantom.write_folder(directory), folder_phantom.VERSION,
                    without=(*_OF_DAGM2007, "split_rule", "fov"), defaults=DEFAULTS, recipe=RECIPE, restore=Folder,
                    elsewhere=Elsewhere),
}


@dataclasses.dataclass(frozen=True)
class Location:
    """Where a run's data lies.

    Attributes:
        directory: its absolute path.
        phantom: whether it is the synthetic set.
    """

    directory: str
    phantom: bool

    @property
    def label(self) -> str:
        """What is recorded beside a score, and names the data in every later command: "phantom" or the directory."""
        return PHANTOM if self.phantom else self.directory


def locate(options: DataOptions) -> Location:
    """The directory that `options` mean; the synthetic set is written on its first use.

    Raises:
        UserError: the data set is unknown, or an option is missing that it needs, or the directory is missing or
            unreadable.
    """
    entry = _entry(options.dataset)
    if options.data_dir == PHANTOM:
        return Location(_cached_phantom(options, entry), phantom=True)
    if options.data_dir is not None:
        return Location(_readable(options.data_dir, options.dataset), phantom=False)
    default = os.path.join("data", options.dataset)
    if os.path.isdir(default):
        return Location(_begun(_readable(default, options.dataset), options.dataset), phantom=False)
    return Location(_cached_phantom(options, entry), phantom=True)


def defaults_of(name: str) -> Mapping[str, Any]:
    """The settings that a data set has where nothing else is said, by name; none for an unknown one."""
    return DATASETS[name].defaults if name in DATASETS else {}


def recipe_of(name: Any) -> Optional[str]:
    """The recipe of runs on a data set that ask for neither a recipe nor a network; None for most, and unknown ones."""
    return DATASETS[name].recipe if name in DATASETS else None


def keeps_facts(name: str) -> bool:
    """Whether runs on a data set keep what was found out about it."""
    return name in DATASETS and DATASETS[name].restore is not None


def _without(name: str) -> str:
    """How a flag is taken back, also one that a script has given."""
    return f"leave --{name} out" + f", or add --{name} {NO_FOLD}" * (name == "crossvalidation_idx")


def open_dataset(options: DataOptions, location: Location, seed: int,
                 facts: Optional[Mapping[str, Any]] = None) -> Dataset:
    """The data set that `options` name, at `location`; with the `facts` of a run that began with it, if any.

    Raises:
        UserError: it is unknown, or an option is missing that it needs, or given that says nothing about it.
    """
    entry, default = _entry(options.dataset), DataOptions()
    for name in entry.without:
        if getattr(options, name) != getattr(default, name):
            raise UserError(f"--{name} {getattr(options, name)} with the data set {options.dataset}, which has no "
                            f"{_NEEDED[name]}", "a data set that has them", _without(name))
    if options.layout not in ("any", *entry.layouts):
        raise UserError(f"layout {options.layout} with the data set {options.dataset}",
                        " or ".join(("any", *entry.layouts)), "mend the recipe's `layout`")
    if facts is not None and entry.restore is not None:
        return entry.restore(location.directory, options, seed, facts)
    return entry.dataset(location.directory, options, seed)


def of_all_images(options: DataOptions) -> DataOptions:
    """The options with which the training part has all of its images, whichever of them train."""
    return options if "train_on" in _entry(options.dataset).without else dataclasses.replace(options, train_on="all")


def open_elsewhere(options: DataOptions, inputs: Sequence[str], seed: int,
                   facts: Optional[Mapping[str, Any]]) -> Tuple[Location, Dataset]:
    """Another directory than a run began with, all of whose labelled images are scored as the run's would be.

    Args:
        options: of the run.
        inputs: the directory.
        seed: of the run.
        facts: what it found out about its own data.

    Raises:
        UserError: there is not one directory, or the run's data set does not tell how other masks are read.
    """
    entry = _entry(options.dataset)
    if entry.elsewhere is None or facts is None:
        raise UserError(f"--exec_mode evaluate with --input and the data set {options.dataset}",
                        "a run on a folder, which has found out how masks are read",
                        "give a directory in the layout of the data set with --data_dir")
    if len(inputs) != 1 or not os.path.isdir(inputs[0]):
        raise UserError(f"--exec_mode evaluate with --input {' '.join(inputs)}", "one directory of images and masks",
                        "arrange them in one of the layouts of docs/own_images.md")
    location = Location(os.path.abspath(inputs[0]), phantom=False)
    return location, entry.elsewhere(location.directory, options, seed, facts)


def _entry(name: str) -> Entry:
    if name not in DATASETS:
        raise unknown_name("dataset", name, DATASETS)
    return DATASETS[name]


def _readable(directory: str, name: str) -> str:
    path = os.path.abspath(directory)
    if not os.path.isdir(path):
        raise UserError(f"--data_dir {directory}: no such directory", "the directory of the data set",
                        f"mend the path{fetching(name)}")
    if not os.access(path, os.R_OK | os.X_OK):
        raise UserError(f"--data_dir {directory}: not readable", "a directory that this user may read",
                        f"grant access (chmod u+rx {directory}) or use a copy")
    return path


def _begun(directory: str, name: str) -> str:
    """`directory`, which holds more than what an unfinished download keeps to go on with."""
    held = os.listdir(directory)
    if STAGING in held and all(entry.startswith(".") for entry in held):
        raise UserError(f"{directory}: an unfinished download, and no data", "the data set, or no such directory",
                        f"repeat the `python download_dataset.py --dataset {name}` that began it, which goes on; "
                        f"--data_dir {PHANTOM} is the synthetic set")
    return directory


def _cached_phantom(options: DataOptions, entry: Entry) -> str:
    name = options.dataset + entry.part(options)
    for root in (pooch.os_cache("unet-phantoms"), _temporary_root()):
        target = os.path.join(str(root), f"{name}-v{entry.phantom_version}")
        if os.path.isdir(target):
            return target
        with contextlib.suppress(OSError):
            return _write_phantom(target, options, entry)
    raise UserError(f"no place to write the synthetic {name} set", "a writable cache or temporary directory",
                    "set XDG_CACHE_HOME or TMPDIR to a writable directory, or give --data_dir")


def _write_phantom(target: str, options: DataOptions, entry: Entry) -> str:
    """Write under a temporary name and rename, so that two processes never see half a set."""
    parent = os.path.dirname(target)
    os.makedirs(parent, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix=".phantom-", dir=parent)
    try:
        entry.write_phantom(scratch, options)
        os.chmod(scratch, 0o755)
        os.rename(scratch, target)
    except OSError:
        # Where another process was first, its set is as good.
        if not os.path.isdir(target):
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _temporary_root() -> str:
    return os.path.join(tempfile.gettempdir(), f"unet-phantoms-{os.getuid()}")
