"""A folder of labelled images that a run did not begin with, to be scored by it."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterator, List, Mapping, Sequence

from datasets.base import FACTS, VALIDATION
from datasets.folder import Folder
from datasets.folder_facts import Facts, facts_of
from datasets.folder_layouts import Item, counted_images, few
from datasets.folder_survey import Look, image_of, look_at
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
        unlabelled = [item.name for item in self._sound().items if item.mask is None]
        lines = self._sound().remarks
        lines += [f"without a mask, and left out: {counted_images(unlabelled)}"] if unlabelled else []
        return [*lines, *self.score_remarks()]

    def score_remarks(self) -> Sequence[str]:
        """See `Dataset.score_remarks`: how many of the images the run was trained on."""
        trained = set(map(image_of, self._began.training.values()))
        known = [item.name for item in self._items(VALIDATION) if image_of(self._look(item).content) in trained]
        return [f"the run was trained on {len(known)} of these images, whose scores are too good "
                f"({few(known)})"] if known else []

    def _look(self, item: Item) -> Look:
        """Of an ensemble only the first run's images are verified, which are the others', too."""
        return self._looks.get(item.name) or look_at(item, labelled=True)
