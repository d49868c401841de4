"""What several ranks must agree on before their graphs are built."""

from __future__ import annotations

from types import SimpleNamespace

from runtime.model_fn import _kernel_gradient
from utils.contracts import PLAIN, PRODUCT, SHIFTED, Convolution

SIZES = Convolution(1, 8, 8, 2, 2, 3, 1)


def rank(number, size, asked, chose, measures=True):
    """A run as one of several ranks sees it, whose processor would choose `chose`."""
    def from_chief(own):
        asked.append(own)
        return next(word for word in asked if isinstance(word, int))

    return SimpleNamespace(
        device=SimpleNamespace(measures=measures, kernel_gradient=lambda sizes: asked.append("measured") or chose),
        distributed=SimpleNamespace(place=SimpleNamespace(size=size), is_chief=number == 0, from_chief=from_chief))


def test_all_ranks_compute_gradients_of_kernels_as_the_chief_does():
    told = []
    assert _kernel_gradient(rank(0, 2, told, PRODUCT))(SIZES) == PRODUCT
    answer = told[1:]
    assert told[0] == "measured" and len(answer) == 1
    assert _kernel_gradient(rank(1, 2, answer, SHIFTED))(SIZES) == PRODUCT
    assert "measured" not in answer


def test_nothing_is_asked_where_nothing_can_differ():
    for run in (rank(0, 1, [], SHIFTED), rank(1, 2, [], PLAIN, measures=False)):
        assert _kernel_gradient(run) is run.device.kernel_gradient
