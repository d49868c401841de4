"""Several runs that predict together."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import threading
from types import SimpleNamespace
from typing import Any, Dict, List

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets.base import TEST, VALIDATION
from datasets.phantoms.dagm2007 import Plan, write_dagm2007
from datasets.phantoms.folder import write_folder
from datasets.pixels import PixelRule
from objectives.catalogue import build_objective
from objectives.options import ObjectiveOptions
from runtime.model_fn import SCORED
from runtime.modes.ensemble import (
    Member,
    ahead,
    averaged,
    count_together,
    mean,
    predicted,
    require_agreement,
    require_same_view,
    told,
    with_scores,
)
from runtime.modes.evaluate import count
from utils.contracts import DataSpec, Geometry
from utils.errors import UserError

from .test_stream import member

SPEC = DataSpec("toy", 1, ("membrane", "cell"), 5)


SEEN: Dict[str, Any] = dict(window=24, margin=4, feeding="resize_to_window")


class Run(SimpleNamespace):
    """What an ensemble must know of a run."""

    def __init__(self, name: str = "a", spec: DataSpec = SPEC, ids: Any = ("x", "y"), bounds: Any = None,
                 objective: str = "cross_entropy_dice", **seen: Any) -> None:
        seen = dict(SEEN, **seen)
        rule = PixelRule(spec.channels, {"uint8": (0.0, 255.0)} if bounds is None else bounds, False)
        super().__init__(
            settings=SimpleNamespace(run=SimpleNamespace(model_dir=name),
                                     data=SimpleNamespace(feeding=seen["feeding"])),
            dataset=SimpleNamespace(spec=spec, pixel_rule=rule, ids=lambda split: ids),
            network=SimpleNamespace(geometry=Geometry(1, 0, 1, seen["margin"])),
            feeding=SimpleNamespace(batched=seen["feeding"] == "resize_to_window", window=(seen["window"],) * 2,
                                    shown=lambda images: images),
            objective=build_objective(ObjectiveOptions(objective=objective), spec),
            device=SimpleNamespace(wide=contextlib.nullcontext))


def by_class(*second: float) -> np.ndarray:
    """The probabilities of both classes."""
    return np.stack([np.subtract(1.0, second), second], axis=-1).astype(np.float32)


def page(*probabilities: float) -> Any:
    return {"probabilities": by_class(*probabilities), "classes": np.greater(probabilities, 0.5).astype(np.uint8)}


def test_the_mean_by_hand() -> None:
    """The second pixel is the second class for one member alone, the third only by the mean."""
    found = mean([page(0.9, 0.6, 0.45), page(0.7, 0.2, 0.8)])
    np.testing.assert_allclose(found["probabilities"][..., 1], [0.8, 0.4, 0.625], atol=1e-7)
    assert found["classes"].tolist() == [1, 0, 1] and found["classes"].dtype == np.uint8


def test_a_score_is_of_the_mean_whoever_asks() -> None:
    """Each member is sure of another pixel, of which none is left; and both of one that does not count."""
    run, valid = Run(objective="defects"), np.array([[1, 1, 0]], np.float32)
    scored = [by_class(0.98, 0.02, 0.99)[np.newaxis], by_class(0.02, 0.98, 0.99)[np.newaxis]]
    members = [Member(run, place) for place in range(2)]  # type: ignore[arg-type]
    batch = {"image": np.zeros([1, 1, 3, 1], np.float32), "label": np.zeros([1, 1, 3], np.int32),
             "valid": valid[np.newaxis], "index": np.arange(1)}

    def of_batch(own: Any) -> Any:
        yield {**batch, SCORED: scored[own.checkpoint][np.newaxis]}

    def of_image(own: Any) -> Any:
        yield {"probabilities": scored[own.checkpoint], SCORED: scored[own.checkpoint], "valid": valid}

    (counts,), (found,) = count_together(members, of_batch), with_scores(run, averaged(members, of_image))
    assert counts["score"] == pytest.approx([0.5]) and found["score"] == pytest.approx(0.5)
    assert found["score"].dtype == np.float32


def test_a_score_without_a_common_size_is_of_the_mean_at_the_images_own() -> None:

    def predict(second: Any) -> Any:
        yield {"probabilities": by_class(*second)[np.newaxis]}

    pages = averaged([(0.9, 0.1), (0.5, 0.3)], predict)  # type: ignore[list-item]
    found, = with_scores(Run(objective="defects"), pages)  # type: ignore[arg-type]
    assert found["score"] == pytest.approx(0.7)


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
    """Against one member that predicts the means."""
    random = np.random.default_rng(0)
    second = random.uniform(0.01, 0.99, size=(2, 2, 5, 6))
    shared = {"image": random.uniform(-1, 1, (2, 5, 6, 1)).astype(np.float32),
              "label": random.integers(0, 2, (2, 5, 6)).astype(np.int32), "valid": np.ones((2, 5, 6), np.float32),
              "index": np.arange(2)}

    def counts(*members: np.ndarray) -> Any:
        run = Run()
        named = [Member(run, name) for name in range(len(members))]  # type: ignore[arg-type]
        return list(count_together(named, lambda member: (
            {**shared, SCORED: by_class(*own)} for own in [members[member.checkpoint]])))

    (found,), (expected,) = counts(*second), counts(second.mean(axis=0))
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


# Runs of random weights ----------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def judging(tmp_path_factory: Any) -> List[Member]:
    """Two that judge images, which they see scaled; and one that sees them otherwise."""
    place = tmp_path_factory.mktemp("judging")
    write_dagm2007(str(place), (1,), plan=Plan(train=2, test=3, size=64))
    values = dict(dataset="dagm2007", class_id=1, model="plain_unet", depth=2, objective="defects",
                  feeding="resize_to_window")
    return [member(str(place), str(place / name), weights, **values, input_size=size)
            for weights, (name, size) in enumerate((("a", 48), ("another", 48), ("larger one", 64)))]


def test_evaluation_and_prediction_judge_images_alike(judging: List[Member]) -> None:
    first, second, otherwise = judging
    counts = count(*first, TEST, others=[second])
    pages = list(predicted([first, second], TEST))
    assert len(pages) == 3 and all(page["probabilities"].shape == (64, 64, 2) for page in pages)
    assert [page["score"] for page in pages] == pytest.approx(counts["score"].tolist(), rel=1e-6)
    for page in predicted([first, otherwise], TEST):
        assert page["score"] == pytest.approx(page["probabilities"][..., 1].max())


@pytest.fixture(scope="module")
def differing(tmp_path_factory: Any) -> List[Member]:
    """Two whose objectives have logits of different number. Not to be changed."""
    place = tmp_path_factory.mktemp("differing")
    write_folder(str(place / "data"), "binary", specimens=2, size=48)
    values = dict(dataset="folder", model="plain_unet", depth=2, crop_height=32, crop_width=32, crossvalidation_idx=0)
    return [member(str(place / "data"), str(place / objective), weights, **values, objective=objective)
            for weights, objective in enumerate(("bce_dice", "cross_entropy_dice"))]


def test_runs_of_different_objectives_are_scored_together_in_either_order(differing: List[Member]) -> None:
    one, other = differing
    assert [own.run.objective.channels for own in differing] == [1, 2]
    first, second = count(*one, VALIDATION, others=[other]), count(*other, VALIDATION, others=[one])
    np.testing.assert_array_equal(first["confusion"], second["confusion"])
    pages = list(predicted([other, one], VALIDATION))
    confusion = [np.bincount(page["classes"].ravel(), minlength=2) for page in pages]
    np.testing.assert_array_equal(first["confusion"].sum(axis=1), confusion)
    assert first["ce"] == pytest.approx(second["ce"], rel=1e-5)


def test_a_checkpoint_of_any_member_that_vanishes_is_named(differing: List[Member], tmp_path: Any) -> None:
    one, other = differing
    gone = other._replace(checkpoint=other.checkpoint._replace(path=str(tmp_path / "model.ckpt-7")))
    with pytest.raises(UserError, match="model.ckpt-7 was removed while it was being read"), told([one, gone]):
        count(*one, VALIDATION, others=[gone])


def test_an_image_that_a_further_member_cannot_read_is_named(differing: List[Member]) -> None:
    def unreadable(name: str) -> Any:
        raise UserError(f"{name}: broken", "an image", "mend it")

    one, other = differing
    dataset = copy.copy(other.run.dataset)
    dataset.read = other.run.faults.keeping(unreadable)  # type: ignore[method-assign]
    broken = other._replace(run=dataclasses.replace(other.run, dataset=dataset))
    with pytest.raises(UserError, match=": broken"), told([one, broken]):
        list(predicted([one, broken], VALIDATION))
