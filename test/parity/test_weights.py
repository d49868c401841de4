"""Checkpoints as MMEngine writes them, read into our variables."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import torch
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.runner.checkpoint import save_checkpoint

from runtime.checkpoints.foreign.recognise import read_foreign
from utils.errors import UserError

from . import ours, reference

PARAMETERS = {"fcn": 29060676, "pspnet": 29046276, "deeplabv3": 29064996, "cityscapes": 29062886}


def variables(kind, filters):
    """Ours, those that are trained first, and how many of them those are."""
    with tf.Graph().as_default():
        ours.network(kind, filters)(tf.zeros([2, 64, 64, 3]), ours.training_context(2))
        return ours.shapes(tf.global_variables()), ours.shapes(tf.trainable_variables())


def runner_checkpoint(kind, model):
    """All that a run of MMEngine saves."""
    hub = MessageHub.get_instance("parity")
    for step in range(30):
        hub.update_scalar("train/loss", 1.0 / (step + 1))
    hub.update_info("iter", 30)
    settings = reference.config(kind)
    optimiser = build_optim_wrapper(model, settings.optim_wrapper)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser.step()
    return {"meta": {"cfg": settings.pretty_text, "seed": 1, "dataset_meta": {"classes": ("background", "vessel")}},
            "state_dict": state, "message_hub": hub.state_dict(), "optimizer": optimiser.state_dict(),
            "param_schedulers": []}


@pytest.mark.parametrize("kind", reference.FILES)
def test_the_published_model(kind, tmp_path):
    model = reference.build(kind)
    save_checkpoint({"state_dict": model.state_dict(), "meta": {}}, str(tmp_path / "x.pth"))
    wanted, trained = variables(kind, reference.PUBLISHED_WIDTH)
    found = read_foreign(str(tmp_path / "x.pth"), wanted)
    assert {name: value.shape for name, value in found.items()} == wanted
    assert sum(int(np.prod(shape)) for shape in trained.values()) == PARAMETERS[kind]
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[kind]


@pytest.mark.parametrize("kind", reference.FILES)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
def test_all_that_a_run_saves(kind, zipped, tmp_path):
    model = reference.build(kind, filters=8)
    torch.save(runner_checkpoint(kind, model), str(tmp_path / "x.pth"), _use_new_zipfile_serialization=zipped)
    wanted, _ = variables(kind, 8)
    found = read_foreign(str(tmp_path / "x.pth"), wanted)
    model.load_state_dict(torch.load(str(tmp_path / "x.pth"), weights_only=False)["state_dict"])
    theirs = reference.arrays(model)
    np.testing.assert_array_equal(found["unet_s5_d16/decoder3/up/kernel"][0, 0].T,
                                  theirs["backbone.decoder.3.upsample.interp_upsample.1.conv.weight"][:, :, 0, 0])
    assert sum(float(np.abs(value).sum(dtype=np.float64)) for value in found.values()) == pytest.approx(
        sum(float(np.abs(value).sum(dtype=np.float64)) for name, value in theirs.items()
            if not name.endswith("num_batches_tracked")), rel=1e-12)


def test_another_head_is_told(tmp_path):
    model = reference.build("pspnet", filters=8)
    torch.save(model.state_dict(), str(tmp_path / "x.pth"))
    with pytest.raises(UserError, match="a PSPNet head; the run has an FCN head"):
        read_foreign(str(tmp_path / "x.pth"), variables("fcn", 8)[0])


def test_a_whole_model_is_no_state_dict(tmp_path):
    torch.save(torch.nn.Conv2d(1, 1, 1), str(tmp_path / "x.pth"))
    with pytest.raises(UserError, match="no state dict"):
        read_foreign(str(tmp_path / "x.pth"), {})
