"""A folder of labelled images that a run did not begin with, to be scored by it."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterator, List, Mapping

from datasets.base import FACTS
from datasets.folder import Folder
from datasets.folder_facts import Facts, facts_of
from datasets.folder_layouts import counted_images, few
from datasets.folder_survey import image_of
from datasets.options import DataOptions
from utils.errors import UserError


class Elsewhere(Folder):
    """Another directory than the run began with, by the run's facts: all its labelled images are scored.

    Args:
        directory, options, seed, facts: as `Folder` takes them.
    """

    def __init__(self, directory: str, options: DataOptions, seed: int, facts: Mapping[str, Any]) -> None:
        super().__init__(directory, options, seed, facts)
        self._began = facts_of(facts, FACTS)
        self._facts = None

    def _known(self) -> Facts:
        if self._facts is None:
            names = [item.name for item in self._sound().items if item.mask is not None]
            if not names:
                raise UserError(f"{self.directory}: no image with a mask", "images and masks to score",
                                "put masks beside the images: docs/own_images.md shows the layouts")
            self._facts = dataclasses.replace(self._began, folds=0, training={}, validation=dict.fromkeys(names, ""))
        return self._facts

    def _look_around(self) -> Iterator[UserError]:
        """What these images hold decides nothing about the run."""
        self._known()
        return iter(())

    def _changes(self, facts: Facts) -> List[str]:
        """What may surprise about these images in place of those."""
        trained = set(map(image_of, self._began.training.values()))
        known = [name for name, look in self._looks.items() if image_of(look.content) in trained]
        unlabelled = [item.name for item in self._sound().items if item.mask is None]
        lines = self._sound().remarks
        lines += [f"without a mask, and left out: {counted_images(unlabelled)}"] if unlabelled else []
        return lines + ([f"the run was trained on {len(known)} of these images, whose scores are too good "
                         f"({few(known)})"] if known else [])
