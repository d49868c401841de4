"""What a level costs, by hand."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

from runtime.assembly import assemble
from runtime.checkpoints.find import Checkpoint
from runtime.distributed.base import Distributed
from runtime.modes import levels
from runtime.modes.levels import convolution_operations, draw, lines
from runtime.settings.tree import settings_from
from utils.errors import UserError

ROWS = [{"level": 1, "parameters": 100961, "gflop": 0.5, "images_per_second": 20.0, "mDice": 0.8},
        {"level": 2, "parameters": 511138, "gflop": 1.25, "images_per_second": 9.0, "mDice": 0.85}]


@pytest.mark.parametrize("kernel, stride, padding, expected", [
    # 16 pixels out of 3 x 3 x 2 products for each of 5 channels; a product and an addition each.
    ([3, 3, 2, 5], 1, "SAME", 2 * 16 * 18 * 5), ([3, 3, 2, 5], 1, "VALID", 2 * 4 * 18 * 5),
    ([1, 1, 2, 1], 1, "SAME", 2 * 16 * 2)])
def test_a_convolution(kernel, stride, padding, expected):
    with tf.Graph().as_default() as graph:
        tf.nn.conv2d(tf.zeros([1, 4, 4, 2]), tf.zeros(kernel), strides=stride, padding=padding)
        assert convolution_operations(graph) == expected


def test_a_transposed_convolution():
    """Each of 16 pixels of 2 channels goes to 2 x 2 places of 5 channels."""
    with tf.Graph().as_default() as graph:
        tf.nn.conv2d_transpose(tf.zeros([1, 4, 4, 2]), tf.zeros([2, 2, 5, 2]), [1, 8, 8, 5], strides=2)
        assert convolution_operations(graph) == 2 * 16 * 2 * 4 * 5


def test_the_table_lines_up():
    assert lines(ROWS, "mDice") == ["level  parameters  gflop  images_per_second   mDice",
                                    "    1     100,961    0.5                 20  0.8000",
                                    "    2     511,138   1.25                  9  0.8500"]


def test_a_score_that_is_not_defined_can_be_shown(tmp_path):
    rows = [dict(ROWS[0], mDice=float("nan")), ROWS[1]]
    assert lines(rows, "mDice")[1].endswith("nan")
    draw(rows, "mDice", "drive", str(tmp_path / "levels.png"))
    assert (tmp_path / "levels.png").read_bytes().startswith(b"\x89PNG")


def test_a_level_whose_timing_exceeds_the_memory_says_so(phantom, monkeypatch):
    def exceed(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    monkeypatch.setattr(levels, "prediction_throughput", exceed)
    run = assemble(settings_from({"data_dir": phantom, "filters": 2, "depth": 1, "input_size": 36, "device": "cpu"}),
                   Distributed())
    with pytest.raises(UserError, match="ran out of memory"):
        levels._row(run, Checkpoint("model.ckpt-1", 1, 1), 1, {})
