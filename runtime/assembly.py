"""A run's parts, made from its settings."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Optional, Tuple, Union

from datasets.base import TEST, TRAIN, VALIDATION, Dataset
from datasets.catalogue import Location, keeps_facts, locate, open_dataset, open_elsewhere
from datasets.feeding import Feeding
from datasets.feedings import build_feeding
from datasets.given import Given
from datasets.options import ALL_FOLDS
from datasets.pipeline import Draw, Share
from model.base import Network
from model.catalogue import build_network
from objectives.base import Objective
from objectives.catalogue import build_objective
from objectives.options import untrained_heads
from runtime.devices.base import Device
from runtime.devices.select import fitting, select_device
from runtime.distributed.base import Distributed
from runtime.faults import Faults
from runtime.settings.effect import mode_words
from runtime.settings.facts import IMAGES, facts_of, load_facts, require_agreement, save_facts
from runtime.settings.saved import save_settings
from runtime.settings.tree import Settings, with_values
from runtime.stop import Stop
from utils.errors import UserError


@dataclasses.dataclass(frozen=True)
class Run:
    """What a mode works with."""

    settings: Settings
    distributed: Distributed
    device: Device
    location: Location
    dataset: Dataset
    network: Network
    feeding: Feeding
    objective: Objective
    faults: Faults
    stop: Stop

    @property
    def share(self) -> Share:
        """The part of the data that this process takes."""
        place = self.distributed.place
        return Share(self.settings.training.batch_size, place.rank, place.size, place.local_size,
                     self.device.needs_static_shapes)

    @property
    def splits(self) -> Tuple[str, ...]:
        """The splits of the data that the command needs."""
        settings = self.settings
        wanted = {TRAIN} if settings.trains else set()
        wanted |= {self.dataset.evaluation_split} if settings.evaluates else set()
        wanted |= {TEST} if settings.predicts else set()
        wanted |= {VALIDATION} if settings.watches else set()
        return tuple(split for split in (TRAIN, VALIDATION, TEST) if split in wanted)

    @property
    def fold(self) -> Optional[Union[int, str]]:
        """The fold that validates; none where other images than the run's own are scored."""
        return None if self.settings.prediction.input else self.settings.data.crossvalidation_idx

    def draw(self, first_sample: int = 0) -> Draw:
        """What decides the training samples, from `first_sample` on."""
        data = self.settings.data
        return Draw(self.settings.training.seed, first_sample, data.augment, data.augmentation, data.sampling,
                    data.defective_share)

    def save_beginning(self) -> None:
        """Write down what a new run is, and what was found out about its data."""
        # A directory holds a run as soon as its settings are there.
        facts = self.dataset.facts()
        if facts is None and self._trains_images and not self.settings.imports:
            facts = facts_of(self.dataset, self.location.label)
        if facts is not None:
            save_facts(facts, self.settings.run.model_dir)
        self.save_settings()

    def save_changes(self) -> None:
        """Write down what a run that is gone on with is from now on, and which images train it."""
        kept = load_facts(self.settings.run.model_dir, needed=False)
        is_new = self.settings.run.resume_with_changes or not (kept or {}).get(IMAGES)
        if self.dataset.facts() is None and self._trains_images and is_new:
            save_facts(facts_of(self.dataset, self.location.label, kept), self.settings.run.model_dir)
        self.save_settings()

    @property
    def _trains_images(self) -> bool:
        """Whether it is a run of its own, and not that of all folds, whose runs are."""
        return self.settings.data.crossvalidation_idx != ALL_FOLDS

    def save_settings(self) -> None:
        """Write down what the run is, with its data as every later command finds it."""
        save_settings(with_values(self.settings, data_dir=self.location.label), self.settings.run.model_dir)

    def data_record(self) -> Dict[str, Any]:
        """What is recorded beside every score about the data it was measured on."""
        data, counts = self.settings.data, self.dataset.counts(self.splits)
        official = {name: count for name, count in self.dataset.official_counts.items() if name in counts}
        return {"data": self.location.label, "dataset": data.dataset, "fold": self.fold,
                "split_rule": data.split_rule, "counts": counts,
                "official_counts_hold": (not self.location.phantom and counts == official) if official else None}


def assemble(settings: Settings, distributed: Distributed, stop: Optional[Stop] = None) -> Run:
    """The parts of a run; the device is prepared, no graph is built, no data read but what a new run must find out.

    Args:
        settings: what decides it; those of the run are `fitting`.
        distributed: the ranks.
        stop: tells when someone wants the run to end; nobody ever does by default.

    Raises:
        UserError: the device, the data directory or a name is not there, or sizes do not fit; what must be found out
            about the data cannot be; or traces are asked for that nothing makes.
    """
    settings = fitting(settings)
    device = select_device(settings.device, distributed.place.local_rank)
    if distributed.transport and distributed.transport not in device.transports:
        raise UserError(f"ranks that talk through {distributed.transport} on the device {device.name}",
                        f"{' or '.join(device.transports)} for several ranks of it",
                        "give --device npu to the ranks of an Ascend host, and start others with horovodrun")
    _require_traced(settings, device)
    device.prepare()
    distributed.start(device.collectives_config())
    if settings.model.data_format == "channels_first" and not device.computes_channels_first:
        raise UserError(f"data_format channels_first on the device {device.name}", "a device that computes in it",
                        "set data_format: channels_last in the recipe, or use --device gpu")
    location, dataset = _data(settings)
    if settings.data.crossvalidation_idx != ALL_FOLDS:  # whose runs see to it
        require_agreement(distributed, dataset, location.phantom, f"{device.name} in {device.precision}")
    objective = build_objective(settings.objective, dataset.spec)
    network = build_network(settings.model, dataset.spec, objective.channels)
    _require_trained_heads(settings, network)
    feeding = build_feeding(dataset.spec, network.geometry, settings.data)
    faults = Faults()
    dataset.read = faults.keeping(dataset.read)  # type: ignore[method-assign]
    return Run(settings, distributed, device, location, dataset, network, feeding, objective, faults, stop or Stop())


def _require_traced(settings: Settings, device: Device) -> None:
    """Traces are of training steps, where the device does not make them by itself.

    Raises:
        UserError: they are asked for, and nothing is trained.
    """
    if not settings.trains and device.profile(1, print).wanted:
        flag = f"--profiling {settings.device.profiling}"
        raise UserError(f"{flag} with {mode_words(settings)} on the device {device.name}", "training, whose steps are "
                        "traced", "leave --profiling out, or trace training: --benchmark --exec_mode train")


def _require_trained_heads(settings: Settings, network: Network) -> None:
    """Heads that are averaged, or that a pruned network ends with, must have learnt something.

    Raises:
        UserError: one would not.
    """
    untrained = untrained_heads(settings.objective)
    if settings.trains and not settings.run.resume_training and len(network.levels) > 1 and untrained:
        raise UserError(f"{untrained} of {settings.model.model} with deep supervision",
                        "a weight above 0 for each head: predictions are the mean of all, or of a pruned network the "
                        "last", "give small weights, or --no-deep_supervision")


def _data(settings: Settings) -> Tuple[Location, Dataset]:
    """What a command works on, and where that lies: the data of the run, as they were found when it began, where it
    has begun; or what is given in their place.
    """
    data, seed, given = settings.data, settings.training.seed, settings.prediction.input
    facts = load_facts(settings.run.model_dir, keeps_facts(data.dataset)) if settings.reads_run else None
    if not given:
        location = locate(data)
        return location, open_dataset(data, location, seed, facts)
    if settings.evaluates:
        return open_elsewhere(data, given, seed, facts)
    # Of the run's own data, which may be gone, nothing is read.
    own = open_dataset(data, Location(data.data_dir or "", phantom=False), seed, facts)
    return Location(", ".join(given), phantom=False), Given(own.spec, own.pixel_rule, given, settings.prediction.stream)


def with_model(run: Run, **options: Any) -> Run:
    """The same run with other options of its network, operational ones, named as in the settings."""
    settings = with_values(run.settings, **options)
    return dataclasses.replace(run, settings=settings,
                               network=build_network(settings.model, run.dataset.spec, run.objective.channels))


def deciding(run: Run, threshold: Optional[float]) -> Run:
    """The same run, whose objective calls by this threshold what its settings leave open; None leaves it as it is."""
    if threshold is None:
        return run
    options = dataclasses.replace(run.settings.objective, threshold=threshold)
    return dataclasses.replace(run, objective=build_objective(options, run.dataset.spec))
