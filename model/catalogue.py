"""The networks by name. A new architecture is one module and one line here."""

from __future__ import annotations

from typing import Dict, Optional, Type

from model.base import Network
from model.options import ModelOptions
from model.plain_unet import PlainUNet
from model.tinyunet import TinyUNet, TinyUNetOriginal
from model.unet import UNet
from model.unet_s5_d16 import UNetS5D16
from model.unetpp import UNetPP
from utils.contracts import DataSpec
from utils.errors import UserError, unknown_name

NETWORKS: Dict[str, Type[Network]] = {
    "unet": UNet,
    "tinyunet": TinyUNet,
    "tinyunet_original": TinyUNetOriginal,
    "unet_s5_d16": UNetS5D16,
    "unetpp": UNetPP,
    "plain_unet": PlainUNet,
}


def build_network(options: ModelOptions, spec: DataSpec, outputs: Optional[int] = None) -> Network:
    """The network that `options` name, for images as in `spec` and `outputs` logit channels (one a class by default).

    Raises:
        UserError: there is no such network, or it cannot be pruned at the level that is asked for.
    """
    if options.model not in NETWORKS:
        raise unknown_name("model", options.model, NETWORKS)
    network = NETWORKS[options.model](options, spec, outputs)
    if options.pruning_level is not None and options.pruning_level not in network.levels:
        found = f"--pruning_level {options.pruning_level} of {options.model}"
        raise UserError(found + " without deep supervision" * bool(network.levels),
                        "a network with a trained head at that level",
                        "leave --pruning_level out, or train --model unetpp with --deep_supervision")
    return network
