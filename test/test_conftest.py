"""What all tests share."""

from __future__ import annotations

import pytest

from .conftest import without_optimisations


@pytest.mark.parametrize("asks", ["", "mixed precision", "XLA"])
def test_an_estimator_has_its_graphs_optimised_only_where_it_asks_for_that(asks):
    import tensorflow.compat.v1 as tf

    class Estimator:
        def __init__(self, config):
            self._session_config = config

    given = tf.ConfigProto(allow_soft_placement=True)
    if asks == "mixed precision":
        given.graph_options.rewrite_options.auto_mixed_precision = 1
    if asks == "XLA":
        given.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.ON_1
    made, before = Estimator.__new__(Estimator), given.SerializeToString()
    without_optimisations(Estimator.__init__)(made, given)
    assert made._session_config.graph_options.rewrite_options.disable_meta_optimizer == (not asks)
    assert made._session_config.allow_soft_placement and given.SerializeToString() == before
