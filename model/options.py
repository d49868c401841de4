"""The options that the model room owns."""

from __future__ import annotations

import dataclasses
from typing import Optional

from utils.options import OPERATIONAL, TRAINING, at_least, option, within


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Network."""

    model: str = option("unet", "network to build", choices=(
        "unet", "tinyunet", "tinyunet_original", "unet_s5_d16", "unetpp", "plain_unet", "unet_compact"))
    decode_head: str = option("fcn", "head of unet_s5_d16", flag=False, choices=("fcn", "pspnet", "deeplabv3"))
    normalisation: str = option("none", "unetpp and plain_unet: batch normalisation behind every convolution of a node "
                                "in place of the published dropout", choices=("none", "batch"))
    upsampling: str = option("transposed", "unetpp, plain_unet, unet_compact: how features are enlarged, by a "
                             "transposed convolution or bilinear", flag=False, choices=("transposed", "bilinear"))
    deep_supervision: bool = option(False, "unetpp: a head on every node of the first level, as pruning needs it")
    pruning_level: Optional[int] = option(
        None, "unetpp with deep supervision: evaluate and predict with the part of the network that the head of this "
        "level reads, 1-4 (default: the whole)", kind=OPERATIONAL, check=within(1, 4))
    head_mode: str = option("accurate", "unetpp with deep supervision: evaluate and predict with the mean of all "
                            "heads' probabilities, or with the deepest head alone", kind=OPERATIONAL,
                            choices=("accurate", "fast"))
    sync_batch_norm: bool = option(True, "take the statistics of batch normalisation over all ranks", kind=TRAINING)
    filters: Optional[int] = option(None, "channels of the first level, those below in proportion (default: as "
                                    "published)", flag=False, check=at_least(1))
    depth: Optional[int] = option(None, "unet, plain_unet, unet_compact: how many times the image is halved on the way "
                                  "down, 1-5 (default: as published, 4)", flag=False, check=within(1, 5))
    activation: str = option("relu", "what follows every convolution but the last", flag=False, choices=(
        "relu", "leaky_relu", "prelu_shared", "prelu_not_shared", "selu", "crelu", "elu"))
    kernel_initialiser: Optional[str] = option(
        None, "distribution of the initial kernels (default: as published)", kind=TRAINING, flag=False, choices=(
            "he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "orthogonal",
            "he_normal_fan_out", "small_normal"))
    data_format: str = option("channels_last", "layout of what the network computes with", kind=OPERATIONAL,
                              flag=False, choices=("channels_last", "channels_first"))
