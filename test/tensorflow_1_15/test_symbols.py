"""The source keeps to what TensorFlow 1.15 has, which Ascend needs, wherever these tests run."""

from __future__ import annotations

import subprocess
import sys
from typing import Dict, List, Tuple

import pytest

from ..conftest import ROOT
from ..test_layout import source_files
from .check import Symbols, offences
from .collect import LEFT_OUT, LIST, collect

FOR_NEWER = {
    ("benchmark/kit/machine.py", "tf.config.experimental.get_device_details"):
        "looked for by getattr; without it a GPU has no name",
    ("runtime/devices/base.py", "tf.config.experimental.enable_op_determinism"):
        "looked for by getattr; without it TF_DETERMINISTIC_OPS is set",
    ("runtime/devices/gpu.py", "tf.config.experimental.get_memory_info"):
        "looked for by getattr; without it no peak of memory is told",
    ("runtime/exports/tflite_form.py", "tf.lite"):
        "1.15 has it, the list leaves the module out; what its converter refuses is told",
    ("test/runtime/devices/test_devices.py", "tf.GraphOptions.rewrite_options.auto_mixed_precision_onednn_bfloat16"):
        "asked for by hasattr, to skip the test",
}
"""What newer versions have and the source uses nevertheless, in which file, and why that does no harm in 1.15."""


@pytest.fixture(scope="module")
def symbols() -> Symbols:
    return Symbols(LIST.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found(symbols) -> Dict[Tuple[str, str], List[str]]:
    """The offences of every file, by file and name."""
    # The parity tests need a newer Python and TensorFlow.
    others = [path for room in ("test", "benchmark") for path in (ROOT / room).rglob("*.py")]
    every: Dict[Tuple[str, str], List[str]] = {}
    for path in sorted({*source_files().values(), *(path for path in others if "parity" not in path.parts)}):
        name = path.relative_to(ROOT).as_posix()
        for offence in offences(path.read_text(encoding="utf-8"), symbols):
            every.setdefault((name, offence.name), []).append(f"{name}:{offence}")
    return every


def test_the_source_uses_nothing_that_1_15_lacks(found):
    assert [line for key, lines in sorted(found.items()) if key not in FOR_NEWER for line in lines] == []


@pytest.mark.parametrize("path, name", FOR_NEWER)
def test_what_is_for_newer_versions_is_still_there(found, path, name):
    assert (path, name) in found, "nothing uses it any more: take it out of FOR_NEWER"


def test_every_use_in_the_source_is_looked_at(symbols):
    """The modules left out of the list would be offences, so that no use goes unseen."""
    assert all(symbols.member("tf", name) is None for name in LEFT_OUT if name != "compat")


def wrong(text: str, symbols: Symbols) -> List[str]:
    return [f"{offence.name} {offence.why}" for offence in offences(text, symbols)]


@pytest.mark.parametrize("line, name", [
    ("tf.math.no_such_thing", "tf.math.no_such_thing"),
    ("tf.data.AUTOTUNE", "tf.data.AUTOTUNE"),
    ("tf.random.Generator.from_seed(1)", "tf.random.Generator"),
    ("tf.nn.experimental.stateless_dropout(x, 0.5, s)", "tf.nn.experimental"),
    ("getattr(tf.config.experimental, 'enable_op_determinism', None)", "tf.config.experimental.enable_op_determinism"),
    ("hasattr(tf.image, 'stateless_random_crop')", "tf.image.stateless_random_crop"),
    ("tf.keras.layers.Dense(1)", "tf.keras"),
    ("tf.contrib.layers", "tf.contrib"),
    ("tf.estimator.Estimator.teach", "tf.estimator.Estimator.teach"),
    ("tf.float32.limit", "tf.float32.limit"),
    ("tf.GraphKeys.SINCE", "tf.GraphKeys.SINCE"),
    ("tf.compat.v1.later", "tf.later"),
    ("tf.data.Dataset.range(3).unique()", "tf.data.Dataset.unique"),
    ("tf.data.Dataset.random(seed=1)", "tf.data.Dataset.random"),
    ("tf.ConfigProto().graph_options.rewrite_options.use_plugin_optimizers",
     "tf.GraphOptions.rewrite_options.use_plugin_optimizers"),
])
def test_a_name_that_came_later_is_found(symbols, line, name):
    text = f"import tensorflow.compat.v1 as tf\n\ndef f(x, s):\n    return {line}\n"
    assert offences(text, symbols) == [(4, name, "TensorFlow 1.15 has none")]


@pytest.mark.parametrize("line, words", [
    ("tf.data.Dataset.range(3).map(f, deterministic=False)",
     "tf.data.Dataset.map in TensorFlow 1.15: got an unexpected keyword argument 'deterministic'"),
    ("tf.data.Dataset.range(3).interleave(f, num_parallel_calls=2, deterministic=True)", "'deterministic'"),
    ("tf.data.Dataset.range(3, output_type=tf.int32)", "'output_type'"),
    ("tf.data.Dataset.range(3).padded_batch(2)", "missing a required argument: 'padded_shapes'"),
    ("tf.data.Dataset.range(3).take(1).shuffle(2).batch(3, True, 4)", "too many positional arguments"),
    ("tf.nn.avg_pool2d(f, 2, 2, 'SAME', 'NHWC', 'name', f, 1)", "too many positional arguments"),
    ("tf.nn.max_pool2d(f, ksize=2, strides=2, padding='SAME', name=None, layout=1)", "'layout'"),
    ("tf.where(f, f, f, names='x')", "'names'"),
    ("tf.Session(configuration=1)", "'configuration'"),
    ("tf.Session().run(f, feed={})", "'feed'"),
    ("tf.ConfigProto(device_counts={})", "'device_counts'"),
    ("tf.train.AdamOptimizer(jit_compile=True)", "'jit_compile'"),
    ("tf.train.AdamOptimizer().minimize(f, tape=1)", "tf.train.Optimizer.minimize in TensorFlow 1.15"),
    ("partial(tf.reduce_sum, dimensions=1)", "'dimensions'"),
    ("tf.numpy_function(f, [], tf.float32, stateful=False)", "'stateful'"),
    ("tf.clip_by_value(f)", "missing a required argument"),
    ("tf.clip_by_value(f, *[0, 1], by=2)", "'by'"),
])
def test_an_argument_that_came_later_is_found(symbols, line, words):
    text = f"from functools import partial\nimport tensorflow.compat.v1 as tf\n\ndef f():\n    return {line}\n"
    assert len(wrong(text, symbols)) == 1
    assert words in wrong(text, symbols)[0]


@pytest.mark.parametrize("text", [
    "import tensorflow.compat.v1 as flow\nflow.later",
    "import tensorflow as tf\ntf.later",
    "import tensorflow as tf\ntf.compat.v1.later",
    "import tensorflow\ntensorflow.compat.v1.later",
    "import tensorflow.compat.v1\ntensorflow.compat.v1.later",
    "from tensorflow.compat import v1 as tf\ntf.later",
    "from tensorflow.compat.v1 import later",
    "from tensorflow.compat.v1.data import Later",
    "from tensorflow.compat.v1 import data\ndata.Later",
    "from tensorflow.compat.v1.data import Dataset\nDataset.later()",
    "from tensorflow.python.ops import control_flow_ops",
    "import tensorflow.python.ops as ops",
    "def f():\n    from tensorflow import compat\n    return compat.v1.later",
])
def test_it_is_found_however_tensorflow_is_imported(symbols, text):
    assert len(wrong(text, symbols)) == 1


@pytest.mark.parametrize("body", [
    "def f(batches: tf.data.Dataset):\n    return batches.later()",
    "def f(batches: Optional[tf.data.Dataset]):\n    return batches.later()",
    "def f() -> tf.data.Dataset:\n    return later\nf().later()",
    "class A:\n    def f(self) -> tf.data.Dataset:\n        return 1\n    def g(self):\n        self.f().later()",
    "numbers = tf.data.experimental.Counter()\nnumbers.repeat().later()",
    "def f(anything):\n    tf.data\n    anything.repeat().map(f, deterministic=True)",
    "def f(anything):\n    tf.data\n    anything.unique()",
    "def f(s: tf.Session):\n    s.later()",
    "with tf.Session() as s:\n    s.later()",
    "with tf.Graph().as_default() as g:\n    g.later()",
    "class A:\n    def __init__(self):\n        self.s = tf.Session()\n    def f(self):\n        self.s.later()",
    "class Hook(tf.train.SessionRunHook):\n    def end(self, session):\n        super().end(session, 1)",
    "for variable in tf.global_variables():\n    variable.later()",
    "[variable.later() for variable in tf.global_variables()]",
    "from datasets.pipeline import batches\ntf.data\nbatches().map(f, deterministic=True)",
    "config = tf.ConfigProto()\nconfig.gpu_options.later = 1",
])
def test_it_is_found_wherever_the_object_came_from(symbols, body):
    text = f"from typing import Optional\nimport tensorflow.compat.v1 as tf\n{body}\n"
    assert len(wrong(text, symbols)) == 1


@pytest.mark.parametrize("body", [
    "import numpy as np\ntf.data\nnp.unique([1]).take(0)",
    "from elsewhere import Pool\ntf.data\nPool(2).map(1, 2, 3)",
    "def f(anything):\n    anything.unique()",
    "from .tensorflow import later",
    "import tensorflow_other as tf\ntf.later",
    "tf.data.Dataset.range(3).map(f, num_parallel_calls=2).batch(2, drop_remainder=True).prefetch(2)",
    "iterator = tf.data.make_one_shot_iterator(tf.data.Dataset.range(3))\niterator.get_next().shape.as_list()",
    "tf.train.AdamOptimizer(0.1, **settings).minimize(loss)",
    "tf.float32.max, tf.float32.as_numpy_dtype.anything, tf.GraphKeys.SAVERS, tf.OptimizerOptions.ON_1",
    "tf.raw_ops.FusedBatchNormV3(x=1, scale=1, offset=1, mean=1, variance=1).batch_mean",
    "tf.Summary(value=[tf.Summary.Value(tag='a', image=tf.Summary.Image())]).SerializeToString()",
    "s = tf.Session()\ns = 1\ns.later()",
    "s = tf.Session()\n[s.later() for s in something]",
    "s = tf.Session()\ndef f(*s):\n    s.later()",
    "def f(tf):\n    return tf.later",
])
def test_what_1_15_has_or_nobody_can_know_is_no_offence(symbols, body):
    assert wrong(f"import tensorflow.compat.v1 as tf\n{body}\n", symbols) == []


def test_it_does_not_need_tensorflow():
    code = ("import sys, test.tensorflow_1_15.check, test.tensorflow_1_15.collect; "
            "print([name for name in sys.modules if name.startswith('tensorflow')])")
    shown = subprocess.run([sys.executable, "-c", code], cwd=str(ROOT), capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["[]"]


def test_the_methods_that_datasets_gained_are_all_known(symbols):
    import tensorflow.compat.v1 as tf

    public = {name for name in dir(tf.data.Dataset) if not name.startswith("_")}
    methods = {name for name in public if callable(getattr(tf.data.Dataset, name, None))}
    assert methods - symbols.dataset_methods == set()


def test_the_list_tells_what_made_it():
    top = "".join(line for line in LIST.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    assert "TensorFlow 1.15.0 under Python 3.7" in top
    assert "python -m test.tensorflow_1_15.collect" in top


def test_the_list_is_what_this_tensorflow_offers():
    import tensorflow

    if not tensorflow.__version__.startswith("1.15."):
        pytest.skip(f"the list is of TensorFlow 1.15; this is {tensorflow.__version__}")
    kept = [line for line in LIST.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert sorted(set(collect()) ^ set(kept)) == []
