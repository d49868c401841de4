"""A run's parts, made from its settings."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict

from datasets.base import Dataset
from datasets.catalogue import Location, locate, open_dataset
from datasets.feeding import ResizeToWindow
from datasets.pipeline import Share
from model.base import Network
from model.catalogue import build_network
from objectives.base import Objective
from objectives.catalogue import build_objective
from runtime.devices.base import Device
from runtime.devices.select import select_device
from runtime.distributed.base import Distributed
from runtime.settings.tree import Settings


@dataclasses.dataclass(frozen=True)
class Run:
    """What a mode works with."""

    settings: Settings
    distributed: Distributed
    device: Device
    location: Location
    dataset: Dataset
    network: Network
    feeding: ResizeToWindow
    objective: Objective

    @property
    def share(self) -> Share:
        """The part of the data that this process takes."""
        place = self.distributed.place
        return Share(self.settings.training.batch_size, place.rank, place.size, place.local_size)

    def data_record(self) -> Dict[str, Any]:
        """What is recorded beside every score about the data it was measured on."""
        record = {"data": self.location.label, "dataset": self.dataset.spec.name, "counts": self.dataset.counts(),
                  "fold": self.settings.data.crossvalidation_idx, "split_rule": self.settings.data.split_rule}
        return dict(record, official=record["counts"] == self.dataset.official_counts)


def assemble(settings: Settings, distributed: Distributed) -> Run:
    """The parts of a run; the device is prepared, no graph is built, no data read.

    Raises:
        UserError: the device, the data directory or a name is not there, or sizes do not fit.
    """
    device = select_device(settings.device, distributed.place.local_rank)
    device.prepare()
    location = locate(settings.data)
    dataset = open_dataset(settings.data, location, settings.training.seed)
    network = build_network(settings.model, dataset.spec)
    feeding = ResizeToWindow(dataset.spec, network.geometry, settings.data)
    objective = build_objective(settings.objective, dataset.spec)
    return Run(settings, distributed, device, location, dataset, network, feeding, objective)
