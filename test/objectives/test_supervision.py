"""One loss on every head."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import pytest
import tensorflow.compat.v1 as tf

from objectives.supervision import over_heads
from utils.contracts import Outputs
from utils.errors import UserError


def mean(logits: Any) -> Dict[str, Any]:
    return {"mean": tf.reduce_mean(logits)}


@pytest.mark.parametrize("weights, expected", [
    (None, 2.5),  # (1 + 2 + 3 + 4) / 4
    ((1.0, 0.0, 0.0, 0.0), 1.0),
    ((3.0, 1.0, 0.0, 0.0), 1.25),
    ((0.0, 0.0, 0.5, 1.5), 3.75)])
def test_the_weighted_mean_over_the_heads(weights: Optional[Tuple[float, ...]], expected: float) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        heads = [tf.fill([2, 2], float(number)) for number in (1, 2, 3, 4)]
        outputs = Outputs(heads[0], tuple(heads[1:]))
        assert session.run(over_heads(outputs, weights, mean)) == pytest.approx({"mean": expected})


def test_one_head_alone_is_its_own_loss_to_the_bit() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        assert session.run(over_heads(Outputs(tf.constant(0.1)), None, mean)["mean"]) == session.run(tf.constant(0.1))


def test_weights_that_do_not_match_the_heads_are_refused() -> None:
    with tf.Graph().as_default(), pytest.raises(UserError, match="2 head_weights for 1 heads"):
        over_heads(Outputs(tf.constant(0.1)), (1.0, 1.0), mean)
