"""What every objective promises. An objective's test inherits `ObjectiveContract` and names a few facts."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from objectives.base import Objective, Targets
from objectives.catalogue import build_objective
from objectives.options import ObjectiveOptions
from utils.contracts import DataSpec, Outputs

SIZE = 6
FAR = 30.0
"""A logit as good as certain: exp(-30) is below what float32 adds to 1."""
Batch = Tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Instance:
    """An objective in a session, fed with logits, labels and valid masks of any number of images."""

    session: Any
    objective: Objective
    feeds: Tuple[Any, Any, Any]
    parts: Dict[str, Any]
    counted: Dict[str, Any]
    likelihood: Any
    slopes: Any

    def run(self, tensors: Any, batch: Batch) -> Any:
        return self.session.run(tensors, dict(zip(self.feeds, batch)))

    def loss_parts(self, batch: Batch) -> Dict[str, np.ndarray]:
        return self.run(self.parts, batch)

    def gradient(self, batch: Batch) -> np.ndarray:
        return self.run(self.slopes, batch)

    def counts(self, batch: Batch) -> Dict[str, np.ndarray]:
        return self.run(self.counted, batch)

    def scores(self, counts: Mapping[str, np.ndarray]) -> Dict[str, float]:
        return self.objective.scores(counts)

    def probabilities(self, batch: Batch) -> np.ndarray:
        return self.run(self.likelihood, batch)


class ObjectiveContract:
    """The promises of `objectives.base.Objective`.

    Attributes:
        objective: the name in the catalogue.
        options: what else `ObjectiveOptions` needs.
        classes: the number of classes.
        channels: the number of logits of a pixel, where that is not the number of classes.
        loss_ignores_what_is_not_valid: whether such pixels say nothing to the loss; published ones differ.
    """

    objective: str
    options: Dict[str, Any] = {}
    classes = 3
    channels: Optional[int] = None
    loss_ignores_what_is_not_valid = True

    @contextlib.contextmanager
    def built(self, dtype: Any = tf.float32, classes: Optional[int] = None) -> Iterator[Instance]:
        """The objective on placeholders; `dtype` is what the network's logits are cast to."""
        classes = classes or self.classes
        with tf.Graph().as_default(), tf.Session() as session:
            spec = DataSpec("toy", 1, tuple(f"class{index}" for index in range(classes)), folds=0)
            objective = build_objective(ObjectiveOptions(objective=self.objective, **self.options), spec)
            logits = tf.placeholder(tf.float32, [None, SIZE, SIZE, objective.channels])
            labels = tf.placeholder(tf.int32, [None, SIZE, SIZE])
            valid = tf.placeholder(tf.float32, [None, SIZE, SIZE])
            outputs, targets = self.outputs(tf.cast(logits, dtype)), Targets(labels, valid)
            parts = objective.loss_parts(outputs, targets)
            yield Instance(session, objective, (logits, labels, valid), parts, objective.counts(outputs, targets),
                           objective.probabilities(outputs.logits), tf.gradients(list(parts.values()), logits)[0])

    def outputs(self, logits: Any) -> Outputs:
        """What a network would have given; an objective that needs auxiliary heads overrides it."""
        return Outputs(logits)

    def batch(self, images: int = 4, seed: int = 0) -> Batch:
        """Random logits and labels, each class present, about a fifth of the pixels not valid."""
        random = np.random.RandomState(seed)
        labels = random.randint(0, self.classes, [images, SIZE, SIZE])
        labels[:, 0, :self.classes] = np.arange(self.classes)
        valid = (random.uniform(size=labels.shape) < 0.8).astype(np.float32)
        valid[:, 0, :self.classes] = 1.0
        shape = labels.shape + (self.channels or self.classes,)
        return random.normal(0, 2, shape).astype(np.float32), labels, valid

    def certain(self, labels: np.ndarray) -> np.ndarray:
        """Logits that are all but certain of `labels`."""
        if self.channels == 1:
            return ((labels * 2 - 1) * FAR)[..., np.newaxis].astype(np.float32)
        return (np.eye(self.classes, dtype=np.float32)[labels] * 2 - 1) * FAR

    def test_loss_parts_are_finite_float32_scalars(self, instance: Instance) -> None:
        parts = instance.loss_parts(self.batch())
        assert parts
        for name, value in parts.items():
            assert (value.shape, value.dtype) == ((), np.float32), name
            assert np.isfinite(value), name

    def test_gradients_are_finite_and_lower_the_loss(self, instance: Instance) -> None:
        logits, labels, valid = self.batch()
        slope = instance.gradient((logits, labels, valid))
        assert np.isfinite(slope).all() and np.abs(slope).max() > 0
        step = 0.1 * slope / np.abs(slope).max()
        before, after = [sum(instance.loss_parts((given, labels, valid)).values()) for given in (logits, logits - step)]
        assert after < before

    @pytest.mark.parametrize("scale", [0.0, 1e4])
    def test_flat_and_far_logits_stay_finite(self, instance: Instance, scale: float) -> None:
        logits, labels, valid = self.batch()
        batch = (scale * logits, labels, valid)
        assert np.isfinite(list(instance.loss_parts(batch).values())).all()
        assert np.isfinite(instance.gradient(batch)).all()
        assert np.isfinite(instance.probabilities(batch)).all()

    def test_what_is_not_valid_does_not_count(self, instance: Instance) -> None:
        logits, labels, valid = self.batch()
        hidden = valid == 0
        random = np.random.RandomState(9)
        other_logits, other_labels = logits.copy(), labels.copy()
        other_logits[hidden] = random.normal(0, 9, other_logits[hidden].shape)
        other_labels[hidden] = random.randint(0, self.classes, hidden.sum())
        first, second = (logits, labels, valid), (other_logits, other_labels, valid)
        _assert_same(instance.counts(first), instance.counts(second))
        if self.loss_ignores_what_is_not_valid:
            _assert_same(instance.loss_parts(first), instance.loss_parts(second))
            assert not instance.gradient(first)[hidden].any()

    def test_an_image_without_valid_pixels_spoils_no_loss_and_no_other_image(self, instance: Instance) -> None:
        logits, labels, valid = self.batch()
        for masked in (np.zeros_like(valid), valid * np.reshape([0, 1, 1, 1], [4, 1, 1])):
            batch = (logits, labels, masked)
            assert np.isfinite(list(instance.loss_parts(batch).values())).all()
            assert np.isfinite(instance.gradient(batch)).all()
            for name, count in instance.counts(batch).items():
                assert np.isfinite(count[masked.any(axis=(1, 2))]).all(), name

    def test_an_image_without_valid_pixels_has_no_part_in_the_scores(self, instance: Instance) -> None:
        logits, labels, valid = self.batch()
        masked = valid * np.reshape([0, 1, 1, 1], [4, 1, 1])
        scores = instance.scores(instance.counts((logits, labels, masked)))
        assert scores == pytest.approx(instance.scores(instance.counts((logits[1:], labels[1:], valid[1:]))),
                                       rel=1e-6, nan_ok=True)

    def test_every_head_is_trained(self) -> None:
        """What a network computes beside its output and averages with it later has a part in the loss."""
        _, labels, valid = self.batch()
        with self.built() as instance:
            heads = [tf.random_normal([4, SIZE, SIZE, instance.objective.channels], seed=seed) for seed in range(3)]
            targets = Targets(tf.constant(labels, tf.int32), tf.constant(valid))
            parts = instance.objective.loss_parts(Outputs(heads[0], tuple(heads[1:])), targets)
            for slope in instance.session.run(tf.gradients(tf.add_n(list(parts.values())), heads)):
                assert np.abs(slope).max() > 0

    def test_smaller_heads_are_trained_at_the_size_of_the_output(self) -> None:
        """Even logits at half the size are even ones at full size."""
        _, labels, valid = self.batch()
        with self.built() as instance:
            targets = Targets(tf.constant(labels, tf.int32), tf.constant(valid))
            even = np.linspace(-1, 1, instance.objective.channels, dtype=np.float32) * np.ones([4, SIZE, SIZE, 1])
            parts = [instance.session.run(instance.objective.loss_parts(
                Outputs(tf.constant(even, tf.float32), (tf.constant(head, tf.float32),)), targets))
                for head in (even, even[:, ::2, ::2])]
        _assert_same(*parts)

    def test_loss_is_a_mean_over_the_images(self, instance: Instance) -> None:
        batch = self.batch()
        singles = [instance.loss_parts(image) for image in _singles(batch)]
        _assert_same(instance.loss_parts(batch), {name: np.mean([one[name] for one in singles]) for name in singles[0]})

    def test_probabilities_sum_to_one(self, instance: Instance) -> None:
        batch = self.batch()
        probabilities = instance.probabilities(batch)
        assert (probabilities.shape, probabilities.dtype) == (batch[1].shape + (self.classes,), np.float32)
        assert probabilities.min() >= 0 and probabilities.max() <= 1
        np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-6)
        certain = instance.probabilities((self.certain(batch[1]), batch[1], batch[2]))
        np.testing.assert_array_equal(certain.argmax(axis=-1), batch[1])

    def test_probabilities_have_logits(self, instance: Instance) -> None:
        random = np.random.RandomState(0).uniform(0.01, 1, [2, SIZE, SIZE, self.classes])
        expected = random / random.sum(axis=-1, keepdims=True)
        with tf.Graph().as_default(), tf.Session() as session:
            logits = instance.objective.logits(tf.constant(expected, tf.float32))
            assert logits.shape[-1] == instance.objective.channels
            found = session.run(instance.objective.probabilities(logits))
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_counts_are_those_of_the_single_images(self, instance: Instance) -> None:
        batch = self.batch()
        singles = [instance.counts(image) for image in _singles(batch)]
        together = instance.counts(batch)
        assert all(count.shape[0] == 4 for count in together.values())
        _assert_same(together, {name: np.concatenate([one[name] for one in singles]) for name in together})

    def test_scores_do_not_depend_on_how_images_were_batched(self, instance: Instance) -> None:
        logits, labels, valid = self.batch()
        whole = instance.scores(instance.counts((logits, labels, valid)))
        parts = []
        for places in ([3], [0, 2], [1]):
            parts.append(instance.counts((logits[places], labels[places], valid[places])))
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        scores = instance.scores(joined)
        assert list(scores) == list(whole)
        assert scores == pytest.approx(whole, rel=1e-6, nan_ok=True)
        assert all(isinstance(value, float) for value in scores.values())

    def test_the_names_of_the_scores_are_known_beforehand(self, instance: Instance) -> None:
        assert instance.objective.score_names == tuple(instance.scores(instance.counts(self.batch())))

    def test_the_confusion_counts_every_valid_pixel_by_its_true_and_predicted_class(self, instance: Instance) -> None:
        logits, labels, valid = self.batch()
        confusion = instance.objective.confusion(instance.counts((self.certain(labels), labels, valid)))
        counted = np.bincount(labels[valid > 0], minlength=self.classes)
        np.testing.assert_array_equal(confusion, np.diag(counted))

    def test_a_perfect_prediction_scores_one(self, instance: Instance) -> None:
        _, labels, valid = self.batch()
        right = (self.certain(labels), labels, valid)
        wrong = (self.certain((labels + 1) % self.classes), labels, valid)
        best, worst = [instance.scores(instance.counts(batch)) for batch in (right, wrong)]
        headline = next(iter(best))
        assert best[headline] == pytest.approx(1.0, abs=1e-5)
        assert worst[headline] < 0.5
        dice = [name for name in best if "dice" in name.lower() and "loss" not in name]
        assert dice and all(best[name] == pytest.approx(1.0, abs=1e-5) for name in dice)
        assert sum(instance.loss_parts(right).values()) < sum(instance.loss_parts(wrong).values())

    def test_masks_score_what_certain_predictions_of_them_do(self, instance: Instance) -> None:
        """A second observer, say: the same rules, without probabilities."""
        _, labels, valid = self.batch()
        _, masks, _ = self.batch(seed=1)
        scores = instance.scores(instance.counts((self.certain(masks), labels, valid)))
        cells = [np.bincount((labels * self.classes + masks)[image][valid[image] > 0], minlength=self.classes ** 2)
                 for image in range(len(labels))]
        found = instance.objective.mask_scores({"": np.reshape(cells, [-1, self.classes, self.classes])})
        assert next(iter(found)) == next(iter(scores))
        assert found == pytest.approx({name: scores[name] for name in found}, abs=1e-5, nan_ok=True)

    def test_what_is_resampled_are_scores(self, instance: Instance) -> None:
        counts = instance.counts(self.batch())
        scores, resampled = instance.scores(counts), instance.objective.resampled_scores(counts)
        assert next(iter(resampled)) == next(iter(scores))
        assert resampled == pytest.approx({name: scores[name] for name in resampled}, nan_ok=True)

    @pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
    def test_half_precision_logits_are_taken_up_to_float32(self, instance: Instance, dtype: Any) -> None:
        """These logits are the same number in every precision: so must be the loss."""
        logits, labels, valid = self.batch()
        batch = (np.round(logits * 4) / 4, labels, valid)
        with self.built(dtype) as half:
            parts, probabilities, counts = half.run((half.parts, half.likelihood, half.counted), batch)
        _assert_same(parts, instance.loss_parts(batch))
        _assert_same(counts, instance.counts(batch))
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, instance.probabilities(batch), rtol=1e-5, atol=1e-7)


def _singles(batch: Batch) -> Iterator[Batch]:
    for index in range(len(batch[0])):
        logits, labels, valid = (array[index:index + 1] for array in batch)
        yield logits, labels, valid


def _assert_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Integers exactly, float32 to its rounding."""
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
        if np.issubdtype(np.asarray(value).dtype, np.integer):
            np.testing.assert_array_equal(found[name], value, err_msg=name)
