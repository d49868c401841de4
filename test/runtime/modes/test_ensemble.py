"""Several runs that predict together."""

from __future__ import annotations

import contextlib
import threading
from types import SimpleNamespace
from typing import Any, Dict

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets.pixels import PixelRule
from objectives.catalogue import build_objective
from objectives.options import ObjectiveOptions
from runtime.modes.ensemble import Member, ahead, averaged, count_together, mean, require_agreement, require_same_view
from utils.contracts import DataSpec, Geometry
from utils.errors import UserError

SPEC = DataSpec("toy", 1, ("membrane", "cell"), 5)


SEEN: Dict[str, Any] = dict(window=24, margin=4, feeding="resize_to_window")


class Run(SimpleNamespace):
    """What an ensemble must know of a run."""

    def __init__(self, name: str = "a", spec: DataSpec = SPEC, ids: Any = ("x", "y"), bounds: Any = None,
                 **seen: Any) -> None:
        seen = dict(SEEN, **seen)
        rule = PixelRule(spec.channels, {"uint8": (0.0, 255.0)} if bounds is None else bounds, False)
        super().__init__(
            settings=SimpleNamespace(run=SimpleNamespace(model_dir=name),
                                     data=SimpleNamespace(feeding=seen["feeding"])),
            dataset=SimpleNamespace(spec=spec, pixel_rule=rule, ids=lambda split: ids),
            network=SimpleNamespace(geometry=Geometry(1, 0, 1, seen["margin"])),
            feeding=SimpleNamespace(batched=seen["feeding"] == "resize_to_window", window=(seen["window"],) * 2,
                                    shown=lambda images: images),
            objective=build_objective(ObjectiveOptions(), spec), device=SimpleNamespace(wide=contextlib.nullcontext))


def page(*probabilities: float, score: float = 0.0) -> Any:
    second = np.array(probabilities, np.float32)
    return {"probabilities": np.stack([1.0 - second, second], axis=-1), "classes": (second > 0.5).astype(np.uint8),
            "score": np.float32(score)}


def test_the_mean_by_hand() -> None:
    """The second pixel is the second class for one member alone, the third only by the mean."""
    found = mean([page(0.9, 0.6, 0.45, score=0.2), page(0.7, 0.2, 0.8, score=0.6)])
    np.testing.assert_allclose(found["probabilities"][..., 1], [0.8, 0.4, 0.625], atol=1e-7)
    assert found["classes"].tolist() == [1, 0, 1] and found["classes"].dtype == np.uint8
    assert found["score"] == pytest.approx(0.4)


def test_members_are_asked_for_one_image_at_a_time_and_let_go_of() -> None:
    events = []

    def predict(member: Any) -> Any:
        try:
            for level in (0.2, 0.6):
                events.append((member, level))
                yield page(level * member)
        finally:
            events.append((member, "closed"))

    pages = averaged([1.0, 0.5], predict)  # type: ignore[list-item]
    assert next(pages)["probabilities"][0, 1] == pytest.approx(0.15)
    assert sorted(events) == [(0.5, 0.2), (1.0, 0.2)]
    assert next(pages)["probabilities"][0, 1] == pytest.approx(0.45)
    assert next(pages, None) is None and [event[1] for event in events[-2:]] == ["closed", "closed"]


def test_an_error_of_one_member_reaches_the_caller_and_ends_the_others() -> None:
    closed = []

    def predict(member: Any) -> Any:
        try:
            yield page(0.5)
            if member == "bad":
                raise UserError("a", "b", "c")
            yield page(0.5)
        finally:
            closed.append(member)

    with pytest.raises(UserError):
        list(averaged(["good", "bad"], predict))  # type: ignore[list-item]
    assert sorted(closed) == ["bad", "good"]


def test_the_next_image_is_computed_while_the_last_is_used() -> None:
    begun = [threading.Event() for _ in range(3)]

    def stream() -> Any:
        for number, event in enumerate(begun):
            event.set()
            yield {"number": np.array(number)}

    seen = []
    for page in ahead(stream):
        seen.append(int(page["number"]))
        assert all(event.wait(60) for event in begun[:seen[-1] + 2])
    assert seen == [0, 1, 2]


def test_a_stream_ahead_is_closed_in_its_own_thread_and_tells_its_error() -> None:
    threads = []

    def stream() -> Any:
        threads.append(threading.current_thread())
        try:
            yield {"number": np.array(0)}
            raise UserError("found", "expected", "repair")
        finally:
            threads.append(threading.current_thread())

    pages = ahead(stream)
    next(pages)
    pages.close()
    other = ahead(stream)
    next(other)
    with pytest.raises(UserError, match="found"):
        next(other)
    assert threads[0] is threads[1] and threads[2] is threads[3]
    assert threading.current_thread() not in threads


def test_counts_are_those_of_the_mean_probabilities() -> None:
    """Against one member whose logits are the logarithms of the means."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(2, 2, 5, 6, 2)).astype(np.float32)
    shared = {"image": random.uniform(-1, 1, (2, 5, 6, 1)).astype(np.float32),
              "label": random.integers(0, 2, (2, 5, 6)).astype(np.int32), "valid": np.ones((2, 5, 6), np.float32),
              "index": np.arange(2)}
    both = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    merged = np.log(both.mean(axis=0))

    def counts(*members: np.ndarray) -> Any:
        run = Run()
        named = [Member(run, name) for name in range(len(members))]  # type: ignore[arg-type]
        return list(count_together(named, lambda member: (
            dict(shared, logits=logits) for logits in [members[member.checkpoint]])))

    (found,), (expected,) = counts(*logits), counts(merged)
    assert set(found) >= {"index", "histogram", "certain"}
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_runs_on_the_same_data_go_together() -> None:
    require_agreement([Run("a"), Run("b"), Run("c", window=30)], "test")
    require_same_view([Run("a"), Run("b")])
    require_same_view([Run("a", feeding="native_crops"), Run("b", feeding="native_crops", window=60)])


@pytest.mark.parametrize("other, words", [
    (dict(spec=DataSpec("others", 1, ("membrane", "cell"), 5)), "toy (data set) of a, others of b"),
    (dict(spec=DataSpec("toy", 3, ("membrane", "cell"), 5)), "1 (channels) of a, 3 of b"),
    (dict(spec=DataSpec("toy", 1, ("cell", "membrane"), 5)), "membrane, cell (classes) of a, cell, membrane of b"),
    (dict(bounds={"uint8": (0.0, 200.0)}), "(scale of pixels)"), (dict(ids=("x",)), "a and b have other images")])
def test_runs_that_mean_something_else_are_named(other: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        require_agreement([Run("a"), Run("b", **other)], "test")
    assert words in caught.value.found


@pytest.mark.parametrize("other", [dict(window=30), dict(margin=2), dict(feeding="native_crops")])
def test_runs_that_see_images_otherwise_are_not_scored_together(other: Any) -> None:
    with pytest.raises(UserError, match="resize_to_window, scored at 16 x 16 pixels of 24"):
        require_same_view([Run("a"), Run("b", **other)])


def test_nothing_is_left_in_the_default_graph() -> None:
    before = len(tf.get_default_graph().get_operations())
    test_counts_are_those_of_the_mean_probabilities()
    assert len(tf.get_default_graph().get_operations()) == before
