"""The pipeline beside training: every image is evaluated once; what is kept of decoded images; shares of a host."""

from __future__ import annotations

from typing import List

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datasets import pipeline
from datasets.base import TEST, TRAIN, VALIDATION
from datasets.pipeline import Draw, Share, endless_batches, evaluation_batches, training_cache

from .numbered import (
    BATCH,
    FEEDING,
    INPUT_SIZE,
    ONE_BY_ONE,
    OUTPUT_SIZE,
    SIZE,
    Batch,
    Numbered,
    assert_same,
    drain,
    few,
    grey,
    joined,
    numbers,
    train,
)


def evaluate(count: int, split: str = VALIDATION, share: Share = ONE_BY_ONE, masked: bool = False) -> List[Batch]:
    return drain(lambda: evaluation_batches(Numbered(count, masked=masked), split, FEEDING, share))[0]


class TestEvaluation:
    @few(1)
    @given(st.integers(1, 9), BATCH, st.integers(1, 3), st.sampled_from([TRAIN, VALIDATION]))
    @example(7, 3, 2, VALIDATION)
    def test_every_image_once(self, count: int, batch: int, ranks: int, split: str) -> None:
        seen: List[int] = []
        for rank in range(ranks):
            batches = evaluate(count, split, Share(batch, rank, ranks))
            mine = len(range(rank, count, ranks))
            sizes = [len(each["index"]) for each in batches]
            assert sizes == [batch] * (mine // batch) + [mine % batch] * (mine % batch > 0)
            for each in batches:
                assert numbers(each) == each["index"].tolist()
                seen += each["index"].tolist()
        assert sorted(seen) == list(range(count))

    def test_a_rank_without_images_has_no_batches(self) -> None:
        assert evaluate(2, share=Share(1, rank=2, size=3)) == []

    def test_layout_and_order(self) -> None:
        (batch,) = evaluate(3, share=Share(5))
        assert batch["index"].dtype == np.int64 and batch["index"].tolist() == [0, 1, 2]
        assert batch["image"].shape == (3, INPUT_SIZE, INPUT_SIZE, 1)
        centre = batch["image"][:, 2:-2, 2:-2, 0]
        for number in range(3):
            np.testing.assert_allclose(centre[number], grey(number), atol=1e-6)

    def test_batches_of_any_size_hold_the_same(self) -> None:
        assert_same(joined(evaluate(4)), joined(evaluate(4, share=Share(3))))

    def test_without_labels(self) -> None:
        samples = joined(evaluate(3, TEST))
        assert samples["label"].dtype == np.int32 and not samples["label"].any()
        assert (samples["valid"] == 1.0).all()
        assert samples["index"].tolist() == [0, 1, 2]

    def test_pixels_that_do_not_count(self) -> None:
        (batch,) = evaluate(1, masked=True)
        np.testing.assert_array_equal(batch["valid"][0], np.tile(np.arange(OUTPUT_SIZE) >= 5, [OUTPUT_SIZE, 1]))

    @pytest.mark.parametrize("count, batch", [(3, 2), (2, 5), (4, 4)])
    def test_endless_batches_are_full(self, count: int, batch: int) -> None:
        (batches,) = drain(lambda: endless_batches(Numbered(count), VALIDATION, FEEDING, Share(batch)), [6])
        assert [len(each["index"]) for each in batches] == [batch] * 6
        assert joined(batches)["index"].tolist() == [place % count for place in range(6 * batch)]


class TestCache:
    ONE_SAMPLE = SIZE * SIZE * (4 + 4 + 1)
    """Bytes of a decoded sample: float32 image, int32 label, bool mask."""

    def _reads(self, count: int, passes: int) -> List[int]:
        """How often each image is read in so many passes."""
        dataset = Numbered(count)
        read = pipeline.Cache(pipeline._reader(dataset, dataset.ids(VALIDATION)))
        for index in list(range(count)) * passes:
            read(np.int64(index))
        return [dataset.reads[number] for number in range(count)]

    def test_a_single_pass_keeps_nothing(self) -> None:
        dataset = Numbered(3)
        drain(lambda: evaluation_batches(dataset, VALIDATION, FEEDING, Share(2)), [None] * 2)
        assert [dataset.reads[number] for number in range(3)] == [2] * 3

    def test_a_small_set_is_decoded_once(self) -> None:
        assert self._reads(4, passes=3) == [1] * 4

    @pytest.mark.parametrize("room", [0, 2])
    @pytest.mark.parametrize("spare", [0, ONE_SAMPLE - 1])
    def test_what_does_not_fit_streams(self, room: int, spare: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """What stands in for a region that is not there takes no room of its own."""
        monkeypatch.setattr(pipeline, "CACHE_BYTES", self.ONE_SAMPLE * room + spare)
        assert self._reads(4, passes=3) == [1] * room + [3] * (4 - room)

    @pytest.mark.parametrize("room, read", [(4, [1, 1, 1, 1]), (2, [1, 1, 1, 0]), (0, [1, 0, 0, 0])])
    def test_it_is_filled_beforehand(self, room: int, read: List[int], monkeypatch: pytest.MonkeyPatch) -> None:
        """Up to the first sample that does not fit; what fits is not read again."""
        monkeypatch.setattr(pipeline, "CACHE_BYTES", self.ONE_SAMPLE * room)
        dataset = Numbered(4)
        cache = training_cache(dataset)
        cache.fill(4)
        assert [dataset.reads[number] for number in range(4)] == read
        for index in range(room):
            cache(np.array(index))
        assert [dataset.reads[number] for number in range(4)] == read

    def test_samples_are_the_same_without_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = train(Numbered(3), Draw(0), 7)
        monkeypatch.setattr(pipeline, "CACHE_BYTES", 0)
        assert_same(train(Numbered(3), Draw(0), 7), kept)


class TestShare:
    @pytest.mark.parametrize("cores, bound_to, local_size, threads", [
        (64, 64, 1, 8), (4, 4, 1, 4), (4, 4, 2, 2), (8, 8, 3, 2), (2, 2, 4, 1), (64, 8, 8, 8), (64, 1, 1, 1)])
    def test_processes_of_a_host_share_its_cores(self, cores: int, bound_to: int, local_size: int, threads: int,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline.os, "cpu_count", lambda: cores)
        monkeypatch.setattr(pipeline, "usable_cores", lambda: bound_to)
        assert Share(1, local_size=local_size).threads == threads
