"""Drawings of figures, as PNG files."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Tuple

from utils.files import replacing


@contextlib.contextmanager
def chart(path: str, size: Tuple[float, float], dpi: int, **details: Any) -> Iterator[Any]:
    """A figure of `size` inches (width, height), to draw in; behind the body it is written to `path`, whole.

    Args:
        path: of the PNG.
        size: in inches.
        dpi: pixels an inch.
        details: further ones of Matplotlib's figure.
    """
    # Imported where it is needed: it takes most of a second.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=dpi, **details)
    FigureCanvasAgg(figure)
    yield figure
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
