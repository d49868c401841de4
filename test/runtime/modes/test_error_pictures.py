"""Which images are drawn, and what of them."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.modes.error_pictures import chosen_rows


@pytest.mark.parametrize("values, eventful, rows", [
    ([0.3, 0.9, 0.1, 0.5, 0.4], [1, 1, 1, 1, 1], (1, 4, 2)),
    ([0.3, 0.9, 0.1, 0.5], [1, 1, 1, 1], (1, 0, 2)),
    ([0.3, 1.0, np.nan, 1.0, 0.5], [1, 0, 1, 0, 1], (4, 0, 0)),
    ([1.0, 0.9], [0, 0], (0, 1, 1)),
    ([0.7], [1], (0, 0, 0)),
    ([np.nan, 0.5], [1, 0], (1, 1, 1))])
def test_which_images(values, eventful, rows):
    """Those without anything to see are passed over while there are others, those without a score always."""
    found = chosen_rows(np.array(values), np.array(eventful, np.bool_))
    assert tuple(found[role] for role in ("best", "median", "worst")) == rows


def test_none_of_images_without_a_score():
    assert chosen_rows(np.array([np.nan]), np.array([True])) == {}
