"""A bar for whatever is done item by item."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Optional

from tqdm import tqdm


def with_bar(items: Iterable[Any], title: str, chief: bool, unit: str = "step",
             total: Optional[int] = None) -> Iterator[Any]:
    """`items`, of which there are `total` where they do not tell, counted by a bar on the chief's terminal; elsewhere
    as they are.
    """
    return iter(tqdm(items, desc=title, unit=unit, leave=False, disable=None if chief else True, total=total))
