"""The networks by name. A new architecture is one module and one line here."""

from __future__ import annotations

from typing import Dict, Optional, Type

from model.base import Network
from model.options import ModelOptions
from model.tinyunet import TinyUNet, TinyUNetOriginal
from model.unet import UNet
from model.unet_s5_d16 import UNetS5D16
from utils.contracts import DataSpec
from utils.errors import unknown_name

NETWORKS: Dict[str, Type[Network]] = {
    "unet": UNet,
    "tinyunet": TinyUNet,
    "tinyunet_original": TinyUNetOriginal,
    "unet_s5_d16": UNetS5D16,
}


def build_network(options: ModelOptions, spec: DataSpec, outputs: Optional[int] = None) -> Network:
    """The network that `options` name, for images as in `spec` and `outputs` logit channels (one a class by default).

    Raises:
        UserError: there is no such network.
    """
    if options.model not in NETWORKS:
        raise unknown_name("model", options.model, NETWORKS)
    return NETWORKS[options.model](options, spec, outputs)
