"""The networks by name. A new architecture is one module and one line here."""

from __future__ import annotations

from typing import Dict, Optional, Type

from model.base import Network
from model.options import ModelOptions
from model.plain_unet import PlainUNet
from model.tinyunet import TinyUNet, TinyUNetOriginal
from model.unet import UNet
from model.unet_compact import UNetCompact
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
    "unet_compact": UNetCompact,
}
SPECIAL = ("normalisation", "deep_supervision", "depth")
"""Options that change few networks; where they would change nothing they are refused."""


def build_network(options: ModelOptions, spec: DataSpec, outputs: Optional[int] = None) -> Network:
    """The network that `options` name, for images as in `spec` and `outputs` logit channels (one a class by default).

    Raises:
        UserError: there is no such network, it has no such option, or it cannot be pruned at the level asked for.
    """
    if options.model not in NETWORKS:
        raise unknown_name("model", options.model, NETWORKS)
    network = NETWORKS[options.model](options, spec, outputs)
    for name in SPECIAL:
        if getattr(options, name) != getattr(ModelOptions(), name) and name not in network.takes:
            takers = [model for model, kind in NETWORKS.items() if name in kind.takes]
            raise UserError(f"{name} {getattr(options, name)} with --model {options.model}",
                            f"{name} with --model {' or '.join(takers)} alone", "leave it out, or use another --model")
    if options.pruning_level is not None and options.pruning_level not in network.levels:
        found = f"--pruning_level {options.pruning_level} of {options.model}"
        raise UserError(found + " without deep supervision" * bool(network.levels),
                        "a network with a trained head at that level",
                        "leave --pruning_level out, or train --model unetpp with --deep_supervision")
    return network
