"""Geometry against a list of legal sizes; the records themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.contracts import DataSpec, Geometry, Outputs, StepContext
from utils.errors import UserError

UNET = Geometry(divisor=16, remainder=12, minimum=188, margin=92)


@st.composite
def _geometries(draw: Any) -> Geometry:
    divisor = draw(st.integers(1, 64))
    minimum = draw(st.integers(1, 300))
    return Geometry(divisor, minimum % divisor, minimum, draw(st.integers(0, (minimum - 1) // 2)))


class TestGeometry:
    @pytest.mark.parametrize("size, output", [(572, 388), (188, 4), (204, 20), (1020, 836)])
    def test_output_size(self, size: int, output: int) -> None:
        assert UNET.output_size(size) == output

    @pytest.mark.parametrize("size, legal", [(512, "508 or 524"), (571, "556 or 572"), (573, "572 or 588"),
                                             (187, "188"), (12, "188"), (0, "188"), (-4, "188"), (189, "188 or 204")])
    def test_illegal_size_names_its_legal_neighbours(self, size: int, legal: str) -> None:
        with pytest.raises(UserError) as caught:
            UNET.output_size(size)
        assert caught.value.found == f"input_size {size} does not fit the network"
        assert caught.value.expected == "188 or more, in steps of 16"
        assert caught.value.repair == f"use {legal}, set as input_size in a recipe, or a --recipe of that network"

    def test_the_setting_at_fault_is_named(self) -> None:
        with pytest.raises(UserError, match="crop_width 60 does not fit"):
            UNET.output_size(60, "crop_width")

    @pytest.mark.parametrize("size", [188, 204, 572])
    def test_a_legal_size_is_its_own_neighbour(self, size: int) -> None:
        assert UNET.nearest(size) == (size,)

    @given(_geometries(), st.integers(-100, 1000))
    @settings(deadline=None)
    def test_against_the_list_of_legal_sizes(self, geometry: Geometry, size: int) -> None:
        legal = list(range(geometry.minimum, 1200, geometry.divisor))
        below = [one for one in legal if one <= size][-1:]
        above = [one for one in legal if one >= size][:1]
        assert geometry.nearest(size) == tuple(sorted(set(below + above)))
        assert geometry.holding(size) == above[0]
        if size in legal:
            assert geometry.output_size(size) == size - 2 * geometry.margin > 0
        else:
            with pytest.raises(UserError):
                geometry.output_size(size)


def test_classes_are_counted_from_their_names() -> None:
    assert DataSpec("cells", 1, ("membrane", "cell", "void"), 5).classes == 3


def test_one_process_is_its_own_mean_over_ranks() -> None:
    context = StepContext(training=False, seed=1)
    tensor = object()
    assert context.cross_rank_mean(tensor) is tensor
    assert context.sample_keys is None


@pytest.mark.parametrize("record", [DataSpec("cells", 1, ("a", "b"), 5), UNET, StepContext(True, 0), Outputs(None)])
def test_records_cannot_be_changed(record: Any) -> None:
    name = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, name, None)
