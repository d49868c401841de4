"""The options that the model room owns."""

from __future__ import annotations

import dataclasses
from typing import Optional

from utils.options import OPERATIONAL, TRAINING, at_least, option


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Network."""

    model: str = option("unet", "network to build", choices=(
        "unet", "tinyunet", "tinyunet_original", "unet_s5_d16"))
    decode_head: str = option("fcn", "head of unet_s5_d16", flag=False, choices=("fcn", "pspnet", "deeplabv3"))
    sync_batch_norm: bool = option(True, "take the statistics of batch normalisation over all ranks", kind=TRAINING)
    filters: Optional[int] = option(None, "channels of the first level, those below in proportion (default: as "
                                    "published)", flag=False, check=at_least(1))
    activation: str = option("relu", "what follows every convolution but the last", flag=False, choices=(
        "relu", "leaky_relu", "prelu_shared", "prelu_not_shared", "selu", "crelu", "elu"))
    kernel_initialiser: Optional[str] = option(
        None, "distribution of the initial kernels (default: as published)", kind=TRAINING, flag=False, choices=(
            "he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "orthogonal",
            "he_normal_fan_out", "small_normal"))
    data_format: str = option("channels_last", "layout of what the network computes with", kind=OPERATIONAL,
                              flag=False, choices=("channels_last", "channels_first"))
