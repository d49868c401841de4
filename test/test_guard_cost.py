"""What the guards cost: the interval of a median, by the binomial distribution, and refusals; nothing is measured."""

from __future__ import annotations

import pytest

from benchmark import guard_cost


@pytest.mark.parametrize("count, low", [
    # That so many or fewer, on either side, lie beyond: 1 of 6 with 3.1 %, 10 of 30 with 4.3 %, 180 of 400 with 4.0 %;
    # one more each with more than 5 %.
    (6, 0), (30, 9), (400, 179)])
def test_the_interval_of_a_median(count, low):
    """Of values that are their own ranks, from 0; of more of them than have a factorial that a float holds, too."""
    assert guard_cost.median_interval(list(range(count))[::-1]) == ((count - 1) / 2, low, count - 1 - low)


@pytest.mark.parametrize("more, words", [(["--pairs", "5"], "--pairs 5"), (["--filters", "0"], "--filters 0")])
def test_what_cannot_be_measured_is_refused(capsys, more, words):
    assert guard_cost.main(more) == 2
    assert words in capsys.readouterr().err
