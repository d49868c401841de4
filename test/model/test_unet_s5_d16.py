"""UNet-S5-D16 with its three heads: parameter counts, layers, and golden values computed by PyTorch in float64."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from model.catalogue import build_network
from model.normalisation import EPSILON
from model.options import ModelOptions
from utils.contracts import MOVING, DataSpec, StepContext
from utils.errors import UserError

from .contract import NetworkContract, plain

MEAN, DEVIATION = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
HEAD_LAYERS = {
    "fcn": ["conv0"],
    "pspnet": ["pool1", "pool2", "pool3", "pool6", "bottleneck"],
    "deeplabv3": ["image_pool", "dilation1", "dilation12", "dilation24", "dilation36", "bottleneck"],
}


class TestFCN(NetworkContract):
    model = "unet_s5_d16"
    options: Dict[str, Any] = {"filters": 4}
    sizes = (16, 32, 80)
    illegal = {8: (16,), 17: (16, 32), 500: (496, 512)}
    has_dropout = True
    has_batch_statistics = True
    training_batch = 2


class TestPSPNet(TestFCN):
    options = {"filters": 8, "decode_head": "pspnet"}
    activations = ("crelu",)


class TestDeepLabV3(TestFCN):
    options = {"filters": 8, "decode_head": "deeplabv3"}
    activations = ("crelu",)


def spec(classes: int = 2) -> DataSpec:
    return DataSpec("toy", 3, tuple(f"class{index}" for index in range(classes)), 0)


def built(head: str, images: Any, training: bool = False, classes: int = 2) -> Any:
    keys = tf.zeros([int(images.shape[0]), 2], tf.int64)
    network = build_network(ModelOptions(model="unet_s5_d16", decode_head=head), spec(classes))
    return network(images, StepContext(training=training, seed=0, sample_keys=keys))


@pytest.mark.parametrize("head, classes, trainable, moving, without_auxiliary", [
    ("fcn", 2, 29060676, 13952, 28986690), ("pspnet", 2, 29046276, 13984, 28972290),
    ("deeplabv3", 2, 29064996, 14016, 28991010), ("fcn", 19, 29062886, 13952, 28987795)])
def test_published_parameter_counts(head: str, classes: int, trainable: int, moving: int,
                                    without_auxiliary: int) -> None:
    for training, expected in ((True, trainable), (False, without_auxiliary)):
        with tf.Graph().as_default():
            outputs = built(head, tf.zeros([2, 64, 64, 3]), training, classes)
            assert outputs.logits.shape.as_list() == [2, 64, 64, classes]
            sizes = [int(np.prod(variable.shape)) for variable in tf.trainable_variables()]
            assert sum(sizes) == expected
            if training:
                assert [head.shape.as_list() for head in outputs.auxiliaries] == [[2, 32, 32, classes]]
                assert sum(int(np.prod(variable.shape)) for variable in tf.global_variables()) == expected + moving
                assert len(tf.get_collection(MOVING)) == 2 * len(_normalised(head_name=head))


@pytest.mark.parametrize("head", ["pspnet", "deeplabv3"])
def test_one_image_has_no_statistics_where_it_is_pooled_to_a_point(head: str) -> None:
    with tf.Graph().as_default(), pytest.raises(UserError, match="batch"):
        built(head, tf.zeros([1, 64, 64, 3]), training=True)


# Golden values. Weights, moving statistics and images are integer arithmetic of the layer's number. ------------------


def _normalised(head_name: str) -> List[Tuple[str, int]]:
    """The layers with batch normalisation and their numbers, in the order of the reference."""
    names = [(f"encoder{stage}/conv{index}", 2 * stage + index) for stage in range(5) for index in range(2)]
    for step, level in enumerate((3, 2, 1, 0)):
        names += [(f"decoder{level}/{layer}", 10 + 3 * step + index)
                  for index, layer in enumerate(("up", "conv0", "conv1"))]
    heads = [(f"head/{layer}", 30 + index) for index, layer in enumerate(HEAD_LAYERS[head_name])]
    return names + [("auxiliary/conv0", 22)] + heads


def _classifiers(head_name: str) -> List[Tuple[str, int]]:
    return [("auxiliary/logits", 23), ("head/logits", 30 + len(HEAD_LAYERS[head_name]))]


def _kernel(shape: List[int], layer: int) -> np.ndarray:
    height, width, inner, outer = shape
    k = np.arange(height * width * inner * outer, dtype=np.int64)
    uniform = ((31 * k * k + 7919 * k + 104729 * layer + 12345) % 10007) / 10007.0
    values = (2 * uniform - 1) * np.sqrt(6.0 / (inner * height * width))
    return values.reshape(outer, inner, height, width).transpose(2, 3, 1, 0)


def golden_weights(head_name: str) -> Dict[str, Tuple[str, int]]:
    """Of every variable of the default graph: what it is, and its layer's number."""
    found = {}
    for name, layer in _normalised(head_name):
        for part in ("kernel", "norm/gamma", "norm/beta", "norm/moving_mean", "norm/moving_variance"):
            found[f"unet_s5_d16/{name}/{part}"] = (part, layer)
    for name, layer in _classifiers(head_name):
        for part in ("kernel", "bias"):
            found[f"unet_s5_d16/{name}/{part}"] = (part, layer)
    return found


def golden_value(part: str, layer: int, shape: List[int]) -> np.ndarray:
    channel = np.arange(shape[-1])
    values = {"norm/gamma": 1 + 0.1 * ((channel % 7) - 3) / 3, "norm/beta": 0.05 * ((channel % 5) - 2),
              "norm/moving_mean": np.zeros(shape[-1]), "norm/moving_variance": np.ones(shape[-1]),
              "bias": 0.1 * (channel + 1.0)}
    return _kernel(shape, layer) if part == "kernel" else values[part]


def golden_batch(size: int = 64, images: int = 4) -> Tuple[np.ndarray, np.ndarray]:
    """Pixels, normalised, and labels."""
    n, y, x, c = np.ogrid[:images, :size, :size, :3]
    pixels = (1000003 * n + 7919 * y + 104729 * x + 1299709 * c + 31 * y * x) % 256
    n, y, x = np.ogrid[:images, :size, :size]
    labels = ((y // 3 + x // 5 + n) % 4 == 0).astype(np.int32)
    return (pixels - MEAN) / DEVIATION, labels


def load_golden(head_name: str, session: Any) -> None:
    """Give every variable of the default graph its value, and none another one before."""
    known = golden_weights(head_name)
    for variable in tf.global_variables():
        part, layer = known[variable.op.name]
        variable.load(golden_value(part, layer, variable.shape.as_list()), session)


def test_the_golden_batch_is_the_one_meant() -> None:
    images, labels = golden_batch()
    pixels = np.round(images * DEVIATION + MEAN)
    np.testing.assert_array_equal(pixels[0, 0, :3], [[0, 253, 250], [25, 22, 19], [50, 47, 44]])
    assert (pixels.sum(), labels.sum()) == (6280704, 4096)


@pytest.mark.parametrize("head, means, deviations, points", [
    ("fcn", (-1.941082, 1.619502), (0.756710, 0.797620),
     [(-0.074789, 0.669940), (-2.748045, 3.093917), (-1.113086, 0.517847)]),
    ("pspnet", (-0.162833, -0.581870), (0.501932, 0.590823),
     [(0.006727, -0.023808), (0.186895, -0.158140), (-0.415533, -0.304824)]),
    ("deeplabv3", (-0.539381, 0.115001), (0.632817, 0.588839),
     [(0.405865, 0.288094), (-0.709992, 0.667973), (0.916098, 1.596580)])])
def test_golden_logits(head: str, means: Tuple[float, ...], deviations: Tuple[float, ...],
                       points: List[Tuple[float, ...]]) -> None:
    with tf.Graph().as_default(), tf.Session(config=plain()) as session:
        logits = built(head, tf.constant(golden_batch()[0], tf.float32)).logits
        load_golden(head, session)
        found = session.run(logits).astype(np.float64)
    np.testing.assert_allclose(found.mean(axis=(0, 1, 2)), means, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=(0, 1, 2)), deviations, atol=1e-5)
    places = [found[0, 0, 0], found[0, 32, 32], found[3, 63, 63]]
    np.testing.assert_allclose(places, points, atol=5e-5)


# Layers of its own --------------------------------------------------------------------------------------------------


@pytest.fixture(name="session")
def _session() -> Iterator[Any]:
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


@pytest.mark.parametrize("ranks, moving", [(1, 0.0), (2, 0.0), (2, 1.5), (2, -30.0)])
def test_batch_normalisation_by_hand(session: Any, ranks: int, moving: float) -> None:
    """Over two "ranks", the second of which has the moving mean for all its values."""
    from model.normalisation import batch_normalisation
    from model.style import Style

    values = np.random.RandomState(0).normal(1, 2, [2, 3, 3, 4])
    context = StepContext(True, 0, cross_rank_mean=_halved if ranks == 2 else lambda value: value, ranks=ranks)
    inputs = tf.constant(values, tf.float32)
    outputs = batch_normalisation(inputs, context, "norm", Style())
    (mean, new_mean), (variance, new_variance) = tf.get_collection(MOVING)
    assert (mean.op.name, variance.op.name) == ("norm/moving_mean", "norm/moving_variance")
    session.run(tf.global_variables_initializer())
    session.run(tf.assign(mean, tf.fill([4], moving)))
    found, found_mean, found_variance = session.run([outputs, new_mean, new_variance])
    both = np.concatenate([values, *[np.full_like(values, moving)] * (ranks - 1)])
    expected, spread, number = both.mean(axis=(0, 1, 2)), both.var(axis=(0, 1, 2)), 18 * ranks
    np.testing.assert_allclose(found, (values - expected) / np.sqrt(spread + EPSILON), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found_mean, 0.9 * moving + 0.1 * expected, rtol=1e-5)
    np.testing.assert_allclose(found_variance, 0.9 + 0.1 * spread * number / (number - 1), rtol=1e-5)


def test_batch_normalisation_over_ranks_waits_for_one_collective_and_has_the_gradient_of_one(session: Any) -> None:
    """Of ranks that all hold the same values the statistics are those of each, and so is everything else."""
    from model.normalisation import batch_normalisation
    from model.style import Style

    asked: List[Any] = []

    def same(value: Any) -> Any:
        asked.append(value)
        return tf.identity(value)

    inputs = tf.constant(np.random.RandomState(0).normal(3, 2, [2, 3, 3, 4]), tf.float32)
    weights = tf.constant(np.random.RandomState(1).normal(0, 1, [2, 3, 3, 4]), tf.float32)
    found = []
    for ranks in (1, 2):
        context = StepContext(True, 0, cross_rank_mean=same, ranks=ranks)
        with tf.variable_scope("layer", reuse=tf.AUTO_REUSE):
            outputs = batch_normalisation(inputs, context, "norm", Style())
        found.append([outputs, tf.gradients(tf.reduce_sum(outputs * weights), [inputs])[0]])
    assert len(asked) == 1
    session.run(tf.global_variables_initializer())
    alone, together = session.run(found)
    for one, other in zip(alone, together):
        np.testing.assert_allclose(other, one, atol=2e-6)


def _halved(value: Any) -> Any:
    return value / 2.0


@pytest.mark.parametrize("length, cells, expected", [
    (64, 3, [(0, 22), (21, 43), (42, 64)]),
    (64, 6, [(0, 11), (10, 22), (21, 32), (32, 43), (42, 54), (53, 64)]),
    (128, 3, [(0, 43), (42, 86), (85, 128)]), (256, 2, [(0, 128), (128, 256)])])
def test_adaptive_pooling_has_the_published_cells(session: Any, length: int, cells: int,
                                                  expected: List[Tuple[int, int]]) -> None:
    from model.layers import adaptive_average_pool

    image = np.random.RandomState(1).normal(size=[1, length, length, 2])
    found = session.run(adaptive_average_pool(tf.constant(image, tf.float32), cells))
    for row, (top, bottom) in enumerate(expected):
        for column, (left, right) in enumerate(expected):
            mean = image[0, top:bottom, left:right].mean(axis=(0, 1))
            np.testing.assert_allclose(found[0, row, column], mean, atol=1e-5)


def test_whole_feature_maps_are_dropped(session: Any) -> None:
    from model.layers import channel_dropout

    context: Optional[StepContext] = StepContext(True, 0, tf.constant([[0, 1], [0, 2]], tf.int64))
    found = session.run(channel_dropout(tf.ones([2, 5, 5, 400]), 0.1, context, "here"))
    maps = found.reshape(2, 25, 400)
    assert (maps == maps[:, :1]).all()
    assert set(np.unique(np.round(maps, 5))) == {0.0, np.float32(np.round(1 / 0.9, 5))}
    assert 0.05 < (maps[:, 0] == 0).mean() < 0.16
    assert (maps[0] != maps[1]).any()
