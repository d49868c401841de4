"""MMSegmentation's U-Nets, built from its own configuration files, with random weights and moments."""

from __future__ import annotations

import os
from typing import Any, Dict

import mmseg
import mmseg.datasets.transforms  # noqa: F401  registers
import mmseg.models  # noqa: F401  registers
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

FILES = {
    "fcn": "unet-s5-d16_fcn_4xb4-40k_drive-64x64",
    "pspnet": "unet-s5-d16_pspnet_4xb4-40k_drive-64x64",
    "deeplabv3": "unet-s5-d16_deeplabv3_4xb4-40k_drive-64x64",
    "cityscapes": "unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024",
}
DICE_FILES = {head: FILES[head].replace("4xb4", "4xb4-ce-1.0-dice-3.0") for head in ("fcn", "pspnet", "deeplabv3")}
PUBLISHED_WIDTH = 64


def config(kind: str, dice: bool = False) -> Config:
    """The published configuration of a kind; `dice` chooses the one with cross-entropy and Dice."""
    init_default_scope("mmseg")
    name = (DICE_FILES if dice else FILES)[kind]
    return Config.fromfile(os.path.join(os.path.dirname(mmseg.__file__), ".mim", "configs", "unet", name + ".py"))


def build(kind: str, filters: int = PUBLISHED_WIDTH, dice: bool = False, dropout: bool = True,
          spread: bool = True) -> Any:
    """A model of a kind, `filters` wide; its weights are those that it begins with, or with `spread` livelier ones."""
    settings = config(kind, dice).model
    _narrow(settings, filters)
    if not dropout:
        settings.decode_head.dropout_ratio = settings.auxiliary_head.dropout_ratio = 0.0
    torch.manual_seed(1)
    model = revert_sync_batchnorm(MODELS.build(settings))
    model.init_weights()
    if spread:
        _spread(model)
    return model


def _narrow(settings: Any, filters: int) -> None:
    head, auxiliary = settings.decode_head, settings.auxiliary_head
    settings.backbone.base_channels = head.in_channels = filters
    head.channels = head.channels * filters // PUBLISHED_WIDTH
    auxiliary.in_channels, auxiliary.channels = 2 * filters, filters


def _spread(model: Any) -> None:
    """Moments and factors of no two channels alike, and classifiers whose logits are not all about 0."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0.0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.8, 1.2)
                module.bias.normal_(0.0, 0.1)
        for head in (model.decode_head, model.auxiliary_head):
            head.conv_seg.weight.normal_(0.0, 0.2)
            head.conv_seg.bias.normal_(0.0, 0.2)


def arrays(model: Any) -> Dict[str, np.ndarray]:
    """The state dict as NumPy arrays of their own memory."""
    return {name: value.detach().numpy().copy() for name, value in model.state_dict().items()}


def channels_first(values: np.ndarray) -> Any:
    """A tensor [batch, channels, height, width] from [batch, height, width, channels]."""
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))


def channels_last(tensor: Any) -> np.ndarray:
    """An array [batch, height, width, channels] from [batch, channels, height, width]."""
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


def eight_bit(image: np.ndarray) -> Any:
    """An image as MMSegmentation loads one, uint8 [channels, height, width], blue first, from one that is red first."""
    return torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))


def labelled(label: np.ndarray) -> Any:
    """A sample that carries a label, [height, width], 255 where nothing counts."""
    sample = SegDataSample()
    sample.gt_sem_seg = PixelData(data=torch.from_numpy(label[np.newaxis].astype(np.int64)))
    sample.set_metainfo({"img_shape": label.shape, "ori_shape": label.shape, "pad_shape": label.shape})
    return sample
