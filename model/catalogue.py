"""The networks by name. A new architecture is one module and one line here."""

from __future__ import annotations

from model.base import Network
from model.options import ModelOptions
from model.unet import UNet
from utils.contracts import DataSpec
from utils.errors import unknown_name

NETWORKS = {"unet": UNet}


def build_network(options: ModelOptions, spec: DataSpec) -> Network:
    """The network that `options` name, for images and classes as in `spec`.

    Raises:
        UserError: there is no such network.
    """
    if options.model not in NETWORKS:
        raise unknown_name("model", options.model, NETWORKS)
    return NETWORKS[options.model](options, spec)
