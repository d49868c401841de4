"""The comparison of an export with the Estimator, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.exports.parity import TOLERANCE, Reference, compare, report


def outputs(*seconds, classes=None, score=None):
    """Of pixels in a row: the probability of the second class of two."""
    second = np.array([seconds], np.float32)
    found = {"probabilities": np.stack([1.0 - second, second], axis=-1),
             "classes": np.array([classes or [value > 0.5 for value in seconds]], np.uint8)}
    return found if score is None else dict(found, score=np.float32(score))


def test_equal_outputs_pass():
    outcome = compare(outputs(0.25, 0.75), outputs(0.25, 0.75), None)
    assert outcome.passes
    assert (outcome.difference, outcome.agreement, outcome.decided_agreement, outcome.undecided) == (0.0, 1.0, 1.0, 0.0)


def test_the_largest_difference_counts():
    outcome = compare(outputs(0.25, 0.75), outputs(0.25, 0.5), None)
    assert outcome.difference == 0.25 and not outcome.passes


def test_an_undecided_pixel_may_be_either():
    """Half of the pixels have another class, but by 1e-5 where the limit is 2e-4."""
    outcome = compare(outputs(0.25, 0.500005), outputs(0.25, 0.499995), None)
    assert outcome.passes
    assert (outcome.agreement, outcome.decided_agreement, outcome.undecided) == (0.5, 1.0, 0.5)


def test_classes_that_contradict_their_probabilities_fail():
    outcome = compare(outputs(0.25, 0.75, classes=[0, 0]), outputs(0.25, 0.75), None)
    assert outcome.difference == 0.0 and outcome.decided_agreement == 0.5 and not outcome.passes


def test_a_threshold_moves_what_is_undecided():
    found, expected = outputs(0.90001, 0.5, classes=[1, 0]), outputs(0.89999, 0.5, classes=[0, 0])
    assert compare(found, expected, 0.9).passes
    assert not compare(found, expected, None).passes


def test_a_score_counts_as_a_probability():
    assert not compare(outputs(0.25, score=0.5), outputs(0.25, score=0.51), None).passes


def test_what_is_no_number_fails():
    assert compare(outputs(np.nan, classes=[0]), outputs(0.25), None).difference == np.inf


@pytest.mark.parametrize("found, words", [
    ({"classes": outputs(0.25)["classes"]}, "probabilities: nothing instead of float32"),
    (outputs(0.25, 0.25), r"probabilities: float32 \[1, 2, 2\] instead of float32 \[1, 1, 2\]"),
    (dict(outputs(0.25), classes=np.zeros([1, 1], np.int64)), "classes: int64"),
])
def test_outputs_of_another_kind_are_named(found, words):
    with pytest.raises(ValueError, match=words):
        compare(found, outputs(0.25), None)


def test_the_worst_image_decides():
    known = [Reference("a", np.zeros([1, 1, 1], np.uint16), outputs(0.25)),
             Reference("b", np.ones([1, 1, 1], np.uint16), outputs(0.75))]
    seen = []

    def function(image):
        seen.append(image)
        return {name: value[np.newaxis] for name, value in outputs(0.25).items()}

    found = report(function, known, None, "float32")
    assert [image.dtype for image in seen] == [np.float32] * 2 and seen[1].shape == (1, 1, 1, 1)
    assert not found["passed"] and found["max_abs_difference"] == 0.5 and found["mask_agreement"] == 0.0
    assert [image["max_abs_difference"] for image in found["images"]] == [0.0, 0.5]
    assert found["limits"]["max_abs_difference"] == TOLERANCE


def test_a_report_is_json_whatever_was_found():
    known = [Reference("a", np.zeros([1, 1, 1], np.uint8), outputs(0.25))]
    found = report(lambda image: {name: value[np.newaxis] for name, value in outputs(np.nan, classes=[0]).items()},
                   known, None, "uint8")
    assert found["max_abs_difference"] is None and not found["passed"]
