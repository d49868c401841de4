"""MMSegmentation's names and shapes to ours. The parity tests hold that the networks then compute the same."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.checkpoints.foreign.mmseg import from_mmseg
from utils.errors import UserError

from .networks import HEADS, mmseg_state_dict, unet_s5_d16, variables

PAIRS = {
    "encoder0/conv0/kernel": "backbone.encoder.0.0.convs.0.conv.weight",
    "encoder0/conv1/norm/gamma": "backbone.encoder.0.0.convs.1.bn.weight",
    "encoder4/conv1/norm/beta": "backbone.encoder.4.1.convs.1.bn.bias",
    "decoder3/up/kernel": "backbone.decoder.3.upsample.interp_upsample.1.conv.weight",
    "decoder0/conv1/norm/moving_mean": "backbone.decoder.0.conv_block.convs.1.bn.running_mean",
    "decoder2/conv0/norm/moving_variance": "backbone.decoder.2.conv_block.convs.0.bn.running_var",
    "head/logits/kernel": "decode_head.conv_seg.weight",
    "head/logits/bias": "decode_head.conv_seg.bias",
    "auxiliary/conv0/kernel": "auxiliary_head.convs.0.conv.weight",
    "auxiliary/logits/bias": "auxiliary_head.conv_seg.bias",
}
OF_HEADS = {
    "fcn": {"head/conv0/kernel": "decode_head.convs.0.conv.weight"},
    "pspnet": {"head/pool1/kernel": "decode_head.psp_modules.0.1.conv.weight",
               "head/pool2/norm/beta": "decode_head.psp_modules.1.1.bn.bias",
               "head/pool3/kernel": "decode_head.psp_modules.2.1.conv.weight",
               "head/pool6/kernel": "decode_head.psp_modules.3.1.conv.weight",
               "head/bottleneck/kernel": "decode_head.bottleneck.conv.weight"},
    "deeplabv3": {"head/image_pool/kernel": "decode_head.image_pool.1.conv.weight",
                  "head/dilation1/kernel": "decode_head.aspp_modules.0.conv.weight",
                  "head/dilation12/kernel": "decode_head.aspp_modules.1.conv.weight",
                  "head/dilation24/norm/gamma": "decode_head.aspp_modules.2.bn.weight",
                  "head/dilation36/kernel": "decode_head.aspp_modules.3.conv.weight"},
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("training", [True, False])
def test_every_variable_has_its_tensor(head, training):
    tensors, wanted = mmseg_state_dict(head, auxiliary=training), unet_s5_d16(head, training=training)
    found = from_mmseg(tensors, wanted)
    assert {name: value.shape for name, value in found.items()} == wanted
    assert all(value.dtype == np.float32 and value.flags.c_contiguous for value in found.values())
    numbers = [np.sort(np.concatenate([np.ravel(value) for value in values]))
               for values in (found.values(), [value for value in tensors.values() if value.dtype == np.float32])]
    np.testing.assert_array_equal(*numbers)


@pytest.mark.parametrize("head", HEADS)
def test_the_pairs(head):
    tensors = mmseg_state_dict(head)
    found = from_mmseg(tensors, unet_s5_d16(head, training=True))
    for ours, theirs in {**PAIRS, **OF_HEADS[head]}.items():
        value = found["unet_s5_d16/" + ours]
        if value.ndim == 4:
            value = np.einsum("hwio->oihw", value)
        np.testing.assert_array_equal(value, tensors[theirs])


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_become_float32(dtype):
    tensors = mmseg_state_dict(auxiliary=False)
    tensors["decode_head.conv_seg.bias"] = np.array([0.5, -1.0], dtype)
    value = from_mmseg(tensors, unet_s5_d16())["unet_s5_d16/head/logits/bias"]
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, np.float32([0.5, -1.0]))


# What is refused --------------------------------------------------------------------------------------------------


def refused(tensors, wanted):
    with pytest.raises(UserError) as caught:
        from_mmseg(tensors, wanted)
    assert "--recipe" in caught.value.repair, "of what a network is nothing else has a flag"
    return caught.value.found


NAMES = {"fcn": "an FCN head", "pspnet": "a PSPNet head", "deeplabv3": "a DeepLabV3 head"}


@pytest.mark.parametrize("theirs, ours", [(theirs, ours) for theirs in HEADS for ours in HEADS if theirs != ours])
def test_another_head(theirs, ours):
    found = refused(mmseg_state_dict(theirs, auxiliary=False), unet_s5_d16(ours))
    assert found == f"a checkpoint with {NAMES[theirs]}; the run has {NAMES[ours]}"


def test_an_auxiliary_head_that_the_run_does_not_have():
    assert "(auxiliary_head.conv_seg.bias, auxiliary_head.conv_seg.weight, auxiliary_head.convs.0.bn.bias and 4 more)" \
        in refused(mmseg_state_dict(), unet_s5_d16())


@pytest.mark.parametrize("head", HEADS)
def test_an_auxiliary_head_that_the_checkpoint_does_not_have_is_left_out(head):
    tensors, wanted = mmseg_state_dict(head, auxiliary=False), unet_s5_d16(head, training=True)
    found = from_mmseg(tensors, wanted)
    assert {name for name in wanted if name not in found} == {
        f"unet_s5_d16/auxiliary/{leaf}" for leaf in (
            "conv0/kernel", "conv0/norm/gamma", "conv0/norm/beta", "conv0/norm/moving_mean",
            "conv0/norm/moving_variance", "logits/kernel", "logits/bias")}


def test_half_an_auxiliary_head_is_missing_tensors():
    tensors = {name: value for name, value in mmseg_state_dict().items() if "auxiliary_head.conv_seg" not in name}
    assert "2 missing tensors: auxiliary_head.conv_seg." in refused(tensors, unet_s5_d16(training=True))


def test_a_tensor_too_many():
    tensors = {**mmseg_state_dict(auxiliary=False), "backbone.encoder.5.1.convs.0.conv.weight": np.zeros(3)}
    assert refused(tensors, unet_s5_d16()) == ("1 tensors that the run's network has no place for: "
                                              "backbone.encoder.5.1.convs.0.conv.weight")


def test_tensors_too_few():
    tensors = {name: value for name, value in mmseg_state_dict(auxiliary=False).items() if ".encoder.4." not in name}
    found = refused(tensors, unet_s5_d16())
    assert found.startswith("10 missing tensors: backbone.encoder.4.1.convs.0.conv.weight, ")
    assert found.endswith(" and 7 more")


def test_another_width():
    found = refused(mmseg_state_dict(filters=8, auxiliary=False), unet_s5_d16())
    assert "backbone.encoder.0.0.convs.0.conv.weight has shape 3x3x3x8 instead of 3x3x3x4 " \
           "(unet_s5_d16/encoder0/conv0/kernel)" in found


def test_another_number_of_classes():
    found = refused(mmseg_state_dict(classes=19, auxiliary=False), unet_s5_d16())
    assert found.startswith("2 tensors that do not fit: decode_head.conv_seg.")
    assert "has shape 19 instead of 2" in found


def test_a_kernel_that_is_none():
    tensors = mmseg_state_dict(auxiliary=False)
    tensors["decode_head.conv_seg.weight"] = np.zeros([2, 4], np.float32)
    assert "decode_head.conv_seg.weight has shape 2x4 instead of 1x1x4x2" in refused(tensors, unet_s5_d16())


def test_whole_numbers():
    tensors = {**mmseg_state_dict(auxiliary=False), "decode_head.conv_seg.bias": np.zeros(2, np.int64)}
    assert "decode_head.conv_seg.bias holds int64 numbers" in refused(tensors, unet_s5_d16())


@pytest.mark.parametrize("bad", [np.nan, -np.inf, 1e300])
def test_bad_numbers(bad):
    tensors = mmseg_state_dict(auxiliary=False)
    tensors["decode_head.conv_seg.bias"] = np.array([0.0, bad])
    with pytest.raises(UserError, match="an earlier checkpoint") as caught:
        from_mmseg(tensors, unet_s5_d16())
    assert caught.value.found == \
        "1 tensors with NaN, Inf, or numbers too large for float32: decode_head.conv_seg.bias"


def test_another_network_of_ours():
    found = refused(mmseg_state_dict(), variables("unet", 1, 188, filters=2))
    assert found == "weights of a PyTorch program for a run whose network is unet"


@pytest.mark.parametrize("name", ["unet_s5_d16/head/pool4/kernel", "unet_s5_d16/head/logits/norm/gamma",
                                  "unet_s5_d16/encoder0/conv0/bias", "unet_s5_d16/encoder0"])
def test_variables_that_nothing_there_is_like(name):
    assert name in refused(mmseg_state_dict(auxiliary=False), {**unet_s5_d16(), name: (1,)})


def test_another_model_of_theirs():
    tensors = {"backbone.stem.0.weight": np.zeros(3), "decode_head.conv_seg.weight": np.zeros(3)}
    assert "no place for: backbone.stem.0.weight" in refused(tensors, unet_s5_d16())
