"""Errors from inside TensorFlow."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

from runtime.faults import Faults, writing
from utils.errors import UserError

MISTAKE = UserError("page 3 is gone", "a page", "restore it")


def fail(value):
    raise MISTAKE


def test_a_mistake_met_inside_an_operation_is_told_as_itself():
    faults = Faults()
    with tf.Graph().as_default(), tf.Session() as session:
        read = tf.numpy_function(faults.keeping(fail), [tf.constant(1)], tf.int32)
        with pytest.raises(UserError) as caught, faults.told():
            session.run(read)
    assert caught.value is MISTAKE


def test_the_first_of_several_is_kept():
    faults = Faults()
    with pytest.raises(UserError):
        faults.keeping(fail)(1)

    def later():
        raise UserError("later", "", "")

    with pytest.raises(UserError):
        faults.keeping(later)()
    assert faults.first is MISTAKE


def test_memory_that_ran_out_has_a_repair():
    with pytest.raises(UserError, match="--batch_size"), Faults().told():
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def test_other_errors_stay_what_they_are():
    with pytest.raises(tf.errors.InternalError), Faults().told():
        raise tf.errors.InternalError(None, None, "a defect")
    assert Faults().keeping(lambda: 5)() == 5


@pytest.mark.parametrize("computes", [False, True])
def test_a_write_that_failed_is_told_and_what_is_computed_beside_it_stays_what_it_is(computes):
    full = tf.errors.ResourceExhaustedError(None, None, "a.data-00000; No space left on device\n at save")
    with pytest.raises(UserError, match=r"the weights could not be written \(No space left on device\)"), \
            writing("the weights", "--model_dir", "repeat the command", computes):
        raise full
    other = tf.errors.InvalidArgumentError(None, None, "two shapes differ")
    with pytest.raises(tf.errors.InvalidArgumentError if computes else UserError, match="two shapes differ"), \
            writing("the weights", "--model_dir", "repeat the command", computes):
        raise other
