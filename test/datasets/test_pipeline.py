"""The pipeline's promise in training: sample k of a run is a pure function of (seed, k)."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import example, given
from hypothesis import strategies as st

from datasets import pipeline
from datasets.base import TRAIN, Sample
from datasets.options import DataOptions
from datasets.pipeline import Draw, Share, require_drawable, training_batches
from datasets.resize_to_window import ResizeToWindow
from utils.contracts import Geometry
from utils.errors import UserError
from utils.randomness import permutation, purpose_key, sample_key

from .numbered import (
    BATCH,
    FEEDING,
    INPUT_SIZE,
    ONE_BY_ONE,
    OUTPUT_SIZE,
    SIZE,
    SPEC,
    Batch,
    Numbered,
    assert_same,
    cut,
    drain,
    few,
    grey,
    joined,
    numbers,
    train,
)

# Every pipeline is a graph of its own to build, so a property compares one fresh pipeline with a sequence that is kept.
KEPT = 40
RUN = st.sampled_from([(5, 3), (7, 2 ** 31 - 1)])
FIRST = st.integers(0, KEPT - 12)
Reference = Callable[[Tuple[int, int]], Batch]


def _turned(array: np.ndarray, place: int) -> np.ndarray:
    """One of the eight positions of a square."""
    return np.rot90(array[:, ::-1] if place >= 4 else array, place % 4)


class TestTraining:
    def test_layout(self) -> None:
        (batches,) = drain(lambda: training_batches(Numbered(3), FEEDING, Draw(0), Share(4)), [1])
        layout = {name: (values.dtype, values.shape) for name, values in batches[0].items()}
        assert layout == {"image": (np.float32, (4, INPUT_SIZE, INPUT_SIZE, 1)),
                          "label": (np.int32, (4, OUTPUT_SIZE, OUTPUT_SIZE)),
                          "valid": (np.float32, (4, OUTPUT_SIZE, OUTPUT_SIZE)), "key": (np.int64, (4, 2))}

    def test_shapes_are_known_to_the_graph(self) -> None:
        with tf.Graph().as_default():
            shapes = tf.data.get_output_shapes(training_batches(Numbered(3), FEEDING, Draw(0, augment=True), Share(4)))
            assert shapes["image"].as_list() == [4, INPUT_SIZE, INPUT_SIZE, 1]
            assert shapes["label"].as_list() == shapes["valid"].as_list() == [4, OUTPUT_SIZE, OUTPUT_SIZE]

    @pytest.fixture(scope="class")
    def reference(self) -> Reference:
        """The augmented samples 0 to 39 of a run (images, seed), one by one in one process."""
        kept: Dict[Tuple[int, int], Batch] = {}

        def sequence(run: Tuple[int, int]) -> Batch:
            if run not in kept:
                kept[run] = train(Numbered(run[0]), Draw(run[1], augment=True), KEPT)
            return kept[run]

        return sequence

    @few(2)
    @given(RUN, BATCH)
    def test_pipelines_of_one_seed_agree_whatever_their_batches(self, reference: Reference, run: Tuple[int, int],
                                                                batch: int) -> None:
        again = train(Numbered(run[0]), Draw(run[1], augment=True), KEPT, Share(batch))
        assert_same(again, reference(run))

    @few(2)
    @given(RUN, FIRST, BATCH)
    def test_starting_at_k_gives_the_tail(self, reference: Reference, run: Tuple[int, int], first: int,
                                          batch: int) -> None:
        tail = train(Numbered(run[0]), Draw(run[1], first, augment=True), KEPT - first, Share(batch))
        assert_same(tail, cut(reference(run), slice(first, None)))

    @few(1)
    @given(RUN, FIRST, BATCH, st.integers(2, 3))
    @example((7, 2 ** 31 - 1), 4, 1, 3)
    def test_ranks_share_the_sequence(self, reference: Reference, run: Tuple[int, int], first: int, batch: int,
                                      ranks: int) -> None:
        """Rank r of R takes the k with (k - first) % R == r; a run is resumed at a multiple of R."""
        for rank in range(ranks):
            expected = cut(reference(run), slice(first + rank, None, ranks))
            draw = Draw(run[1], first, augment=True)
            mine = train(Numbered(run[0]), draw, len(expected["key"]), Share(batch, rank, ranks))
            assert_same(mine, expected)

    @few(2)
    @given(RUN)
    def test_every_image_once_per_epoch(self, reference: Reference, run: Tuple[int, int]) -> None:
        count, epochs = run[0], KEPT // run[0]
        order = numbers(reference(run))
        passes = [tuple(order[start:start + count]) for start in range(0, epochs * count, count)]
        assert all(sorted(each) == list(range(count)) for each in passes)
        assert len(set(passes)) > epochs // 2, "an epoch's order must not be that of the last"

    def test_an_epoch_has_the_order_of_its_own_key_which_is_made_once(self, reference: Reference,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
        made: List[np.ndarray] = []

        def watched(key: Any, length: int) -> Any:
            order = tf.py_func(lambda order: made.append(order) or order, [permutation(key, length)], tf.int32)
            return tf.reshape(order, [length])

        with tf.Graph().as_default(), tf.Session() as session:
            keys = [purpose_key(sample_key(3, tf.constant(epoch, tf.int64)), "epoch") for epoch in range(3)]
            expected = np.concatenate(session.run([permutation(key, 5) for key in keys]))
        assert numbers(reference((5, 3)))[:15] == expected.tolist()
        monkeypatch.setattr(pipeline, "permutation", watched)
        train(Numbered(5), Draw(3, first_sample=2), 10)
        # Samples 2 to 11, and some that are prepared beforehand.
        assert 3 <= len(made) <= 6

    def test_keys_are_seed_and_k(self, reference: Reference) -> None:
        assert reference((5, 3))["key"].tolist() == [[3, number] for number in range(KEPT)]

    def test_threads_do_not_matter(self, reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline.os, "cpu_count", lambda: 8)
        monkeypatch.setattr(pipeline, "usable_cores", lambda: 8)
        for share, threads in ((Share(5), 8), (Share(5, local_size=8), 1)):
            assert share.threads == threads
            assert_same(train(Numbered(5), Draw(3, augment=True), KEPT, share), reference((5, 3)))

    @pytest.fixture(scope="class")
    def alike(self) -> Batch:
        """The augmentation alone: samples 20 to 31 of a run whose two images are one picture."""
        return train(Numbered(2, alike=True), Draw(3, first_sample=20, augment=True), 12)

    def test_augmentation_depends_on_seed_and_k_alone(self, alike: Batch) -> None:
        """Not on which image is drawn: that differs with the number of images."""
        other = train(Numbered(7, alike=True), Draw(3, first_sample=24, augment=True), 8)
        assert numbers(other) != numbers(alike)[4:]
        np.testing.assert_array_equal(other["image"], alike["image"][4:])

    def test_samples_of_one_image_are_augmented_differently(self, alike: Batch) -> None:
        assert len({image.tobytes() for image in alike["image"]}) == 12

    def test_another_seed_gives_another_order_and_other_changes(self, alike: Batch) -> None:
        other = train(Numbered(2, alike=True), Draw(4, first_sample=20, augment=True), 12)
        assert numbers(other) != numbers(alike)
        assert not {image.tobytes() for image in other["image"]} & {image.tobytes() for image in alike["image"]}

    def test_a_share_of_defective_images_is_drawn_whatever_the_start_and_the_ranks(self) -> None:
        """Three of sixteen images are 0.7 of what is drawn, each as often as the others of its kind."""
        dataset = Numbered(16)
        dataset.defective = lambda split: [number in (2, 3, 11) for number in range(16)]  # type: ignore[method-assign]
        draw = Draw(5, defective_share=0.7)
        found = train(dataset, draw, 600, Share(20))
        counts = np.bincount(numbers(found), minlength=16)
        assert abs(counts[[2, 3, 11]].sum() / 600 - 0.7) < 0.1          # 5 standard deviations
        assert counts[[2, 3, 11]].min() > 95 and np.delete(counts, [2, 3, 11]).min() > 2
        tail = train(dataset, dataclasses.replace(draw, first_sample=13), 40, Share(1, rank=1, size=2))
        assert numbers(tail) == numbers(found)[14:94:2]

    @pytest.mark.parametrize("flags, share, missing", [
        ([True] * 3, 0.7, "sound"), ([False] * 3, 0.7, "defective"), ([], 0.5, "defective")])
    def test_a_kind_that_is_missing_is_named(self, flags: List[bool], share: float, missing: str) -> None:
        dataset = Numbered(3)
        dataset.defective = lambda split: flags  # type: ignore[method-assign]
        with pytest.raises(UserError, match=f"none of which is {missing}"):
            require_drawable(dataset, Draw(0, defective_share=share))

    def test_late_samples_of_a_long_run(self) -> None:
        late = 5 * 2 ** 38
        samples = train(Numbered(5), Draw(0, first_sample=late), 5)
        assert sorted(numbers(samples)) == list(range(5))
        assert samples["key"][:, 1].tolist() == list(range(late, late + 5))

    def test_without_augmentation_images_come_as_they_are(self) -> None:
        samples = train(Numbered(4), Draw(0), 8)
        centre = samples["image"][:, 2:-2, 2:-2, 0]
        expected = np.reshape([grey(number) for number in numbers(samples)], [-1, 1, 1])
        np.testing.assert_allclose(centre, np.broadcast_to(expected, centre.shape), atol=1e-6)
        assert (samples["valid"] == 1.0).all()

    def test_augmentation_brightens_but_brings_no_border_in(self, reference: Reference) -> None:
        samples = reference((5, 3))
        centre = samples["image"][:, 2:-2, 2:-2, 0].reshape([KEPT, -1])
        offsets = centre - np.reshape([grey(number) for number in numbers(samples)], [-1, 1])
        np.testing.assert_allclose(np.ptp(offsets, axis=1), 0, atol=1e-6)
        assert np.abs(offsets).max() <= 0.2 + 1e-6
        assert len(set(offsets[:, 0])) == KEPT

    def test_crops_are_those_of_earlier_versions(self, reference: Reference, alike: Batch) -> None:
        """What a run draws must not change under it: these numbers were written down when there were crops alone."""
        samples = cut(reference((5, 3)), slice(6))
        assert numbers(samples) == [0, 4, 3, 2, 1, 0]
        np.testing.assert_allclose(samples["image"][:, 7, 7, 0], [-0.4620509, -0.4332997, -0.2497322, -0.3054827,
                                                                  -0.2741748, -0.6252067], atol=1e-6)
        np.testing.assert_allclose(alike["image"][:4, 3, [2, 5, 9], 0], [
            [0.3321913, 0.3455450, 0.3633499], [0.2378447, 0.2522505, 0.2714581], [0.3100057, 0.2917958, 0.2675158],
            [0.4667693, 0.4551454, 0.4396468]], atol=1e-6)

    def test_quarter_turns(self) -> None:
        """Labels and valid pixels turn with the image, and no pixel is mixed with another."""
        dataset, draw = Numbered(1, masked=True), Draw(3, augment=True, augmentation="quarter_turns")
        feeding = ResizeToWindow(SPEC, Geometry(1, 0, 1, 0), DataOptions(input_size=SIZE))
        half = dataset.read("train#0").valid
        picture = np.linspace(-1, 1, SIZE * SIZE, dtype=np.float32).reshape([SIZE, SIZE])
        label = (picture > 0.3).astype(np.int32)
        dataset.read = lambda _: Sample(picture[..., np.newaxis], label, half)  # type: ignore[method-assign]
        (batches,) = drain(lambda: training_batches(dataset, feeding, draw, ONE_BY_ONE), [24])
        samples, seen = joined(batches), set()
        for turned, labels, valid in zip(samples["image"][..., 0], samples["label"], samples["valid"]):
            (place,) = [place for place in range(8) if np.array_equal(turned, _turned(picture, place))]
            np.testing.assert_array_equal(labels, _turned(label, place))
            np.testing.assert_array_equal(valid, _turned(half, place))
            seen.add(place)
        assert len(seen) > 4

    def test_an_unknown_augmentation_is_refused_at_once(self) -> None:
        with tf.Graph().as_default(), pytest.raises(UserError, match="unknown augmentation 'crops'"):
            training_batches(Numbered(2), FEEDING, Draw(0, augmentation="crops"), ONE_BY_ONE)

    def test_an_empty_split_is_refused_at_once(self) -> None:
        with tf.Graph().as_default(), pytest.raises(UserError, match=f"{TRAIN} is empty"):
            training_batches(Numbered(0), FEEDING, Draw(0), ONE_BY_ONE)
