"""Whose weights a path names."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from runtime.checkpoints.foreign.mmseg import from_mmseg
from runtime.checkpoints.foreign.nvidia import from_nvidia
from runtime.checkpoints.foreign.recognise import read_foreign
from utils.errors import UserError

from .networks import mmseg_state_dict, unet_s5_d16, variables
from .nvidia_unet import nvidia_unet
from .torch_files import WRITERS, state_dict

pytestmark = pytest.mark.filterwarnings("ignore:`tf.layers")


@pytest.fixture(scope="module")
def nvidia(tmp_path_factory):
    """The prefix of a checkpoint of NVIDIA's network."""
    with tf.Graph().as_default(), tf.Session() as session:
        nvidia_unet(tf.zeros([1, 188, 188, 1]))
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, str(tmp_path_factory.mktemp("nvidia") / "model.ckpt-6400"))


def same(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("name", ["x.pth", "x.pt", "x", "x.index"])
def test_pytorch_by_its_content(tmp_path, write, name):
    tensors, wanted = mmseg_state_dict(auxiliary=False), unet_s5_d16()
    path = write(tmp_path / name, {"state_dict": state_dict(**tensors)})
    if name == "x.index":
        shutil.copy(path, str(tmp_path / "other"))
        path = str(tmp_path / "other")
    same(read_foreign(path, wanted), from_mmseg(tensors, wanted))


@pytest.mark.parametrize("ending", ["", ".index", ".meta", ".data-00000-of-00001"])
def test_tensorflow_by_its_prefix_or_any_of_its_files(nvidia, ending):
    wanted = variables("unet", 1, 188, filters=2)
    same(read_foreign(nvidia + ending, wanted), from_nvidia(nvidia, wanted))


def refused(path, wanted):
    with pytest.raises(UserError) as caught:
        read_foreign(str(path), wanted)
    return caught.value.found


def test_what_is_neither(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "empty").write_bytes(b"")
    for name, what in (("none.pth", "no such file"), ("picture.png", "no checkpoint of a known kind"),
                       ("empty", "no checkpoint of a known kind"), ("", "a directory")):
        assert refused(tmp_path / name, {}) == f"{tmp_path / name}: {what}"


def test_errors_name_the_file(tmp_path, nvidia):
    path = WRITERS["zip"](tmp_path / "x.pth", state_dict(**mmseg_state_dict("pspnet", auxiliary=False)))
    assert refused(path, unet_s5_d16()) == f"{path}: a checkpoint with a PSPNet head; the run has an FCN head"
    assert refused(nvidia + ".index", unet_s5_d16()).startswith(f"{nvidia}: ")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "x.pth").read_bytes()[:1000])
    assert refused(tmp_path / "cut.pth", {}).count(str(tmp_path / "cut.pth")) == 1
