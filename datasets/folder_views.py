"""What was seen of people's own images, as those see it who watch a pass over the data."""

from __future__ import annotations

from typing import Optional

from datasets.folder_facts import Facts
from datasets.folder_layouts import Item
from datasets.folder_mask_looks import COLOURS, MaskLook
from datasets.folder_survey import Look
from datasets.views import Figures, Label, View


def view_of(item: Item, look: Look, split: str, facts: Optional[Facts], group: str) -> View:
    """An image of a split; without `facts` nobody knows what the values of its mask mean."""
    figures = Figures(look.size, look.channels, look.dtype, look.low, look.high, look.digest, look.hash)
    label = None if look.mask is None else _label(look.mask, facts)
    return View(item.name, split, item.where, figures, label, group)


def _label(mask: MaskLook, facts: Optional[Facts]) -> Label:
    by_colour = mask.kind == COLOURS or (facts is not None and facts.rule.kind == COLOURS)
    values = mask.coloured() if by_colour else dict(mask.counts)
    shown = {f"#{value:06x}" if by_colour else str(value): count for value, count in sorted(values.items())}
    return Label(shown, () if facts is None else facts.rule.counted(mask))
