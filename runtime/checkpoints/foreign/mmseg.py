"""Weights of MMSegmentation's U-Nets (versions 0.x and 1.x name them alike) for our `unet_s5_d16`."""

from __future__ import annotations

import re
from typing import Callable, Dict, Iterable, Mapping, Optional, Sequence, Tuple

import numpy as np

from runtime.checkpoints.foreign.matching import Source, few, match
from utils.errors import UserError

SCOPE = "unet_s5_d16/"
_COUNTER = ".num_batches_tracked"

_LAYERS: Tuple[Tuple[str, Callable[..., str]], ...] = (
    # The deeper stages begin with their pooling, so that the convolutions are second there.
    (r"encoder(\d)/conv(\d)", lambda stage, conv: f"backbone.encoder.{stage}.{int(stage != '0')}.convs.{conv}"),
    (r"decoder(\d)/up", lambda level: f"backbone.decoder.{level}.upsample.interp_upsample.1"),
    (r"decoder(\d)/conv(\d)", lambda level, conv: f"backbone.decoder.{level}.conv_block.convs.{conv}"),
    (r"head/conv0", lambda: "decode_head.convs.0"),
    (r"head/pool([1236])", lambda cells: f"decode_head.psp_modules.{'1236'.index(cells)}.1"),
    (r"head/image_pool", lambda: "decode_head.image_pool.1"),
    (r"head/dilation(1|12|24|36)", lambda dilation: f"decode_head.aspp_modules.{int(dilation) // 12}"),
    (r"head/bottleneck", lambda: "decode_head.bottleneck"),
    (r"head/logits", lambda: "decode_head.conv_seg"),
    (r"auxiliary/conv0", lambda: "auxiliary_head.convs.0"),
    (r"auxiliary/logits", lambda: "auxiliary_head.conv_seg"))

_CLASSIFIER = {"kernel": "weight", "bias": "bias"}
_CONVOLUTION = {"kernel": "conv.weight", "norm/gamma": "bn.weight", "norm/beta": "bn.bias",
                "norm/moving_mean": "bn.running_mean", "norm/moving_variance": "bn.running_var"}

_HEADS = {"an FCN head": ("decode_head.convs.", "head/conv0/"),
          "a PSPNet head": ("decode_head.psp_modules.", "head/pool"),
          "a DeepLabV3 head": ("decode_head.aspp_modules.", "head/dilation")}
"""By what each head is known, there and here."""
_AUXILIARY_THERE, _AUXILIARY_HERE = "auxiliary_head.", "auxiliary/"


def from_mmseg(tensors: Mapping[str, np.ndarray], wanted: Mapping[str, Tuple[int, ...]]) -> Dict[str, np.ndarray]:
    """Our variables from the state dict of one of MMSegmentation's U-Nets.

    Kernels turn from [out, in, height, width] into [height, width, in, out]; how many batches each normalisation has
    seen is left out.

    Args:
        tensors: the state dict.
        wanted: the shapes of the run's variables by name, trainable ones and the moments of batch normalisation.
            Without those of the auxiliary head the state dict must not have it.

    Returns:
        float32 arrays by the names of `wanted`, but those of an auxiliary head that the state dict does not have.

    Raises:
        UserError: the run has another network, or the checkpoint another head, width or number of classes, or an
            auxiliary head that the run has not, or it is not of such a U-Net.
    """
    held = {name: tensor for name, tensor in tensors.items() if not name.endswith(_COUNTER)}
    _require_network(wanted)
    _compare_heads(held, [name[len(SCOPE):] for name in wanted if name.startswith(SCOPE)])
    if not any(name.startswith(_AUXILIARY_THERE) for name in held):
        wanted = {name: shape for name, shape in wanted.items() if not name.startswith(SCOPE + _AUXILIARY_HERE)}
    return match(held, wanted, _source, "U-Net of MMSegmentation")


def _source(ours: str) -> Optional[Source]:
    """Where the value of one of our variables comes from, or None where it is none of these U-Nets'."""
    for pattern, theirs in _LAYERS:
        found = re.match(f"{SCOPE}{pattern}/(.+)$", ours)
        if found:
            *places, leaf = found.groups()
            leaves = _CLASSIFIER if "/logits/" in ours else _CONVOLUTION
            convert = _kernel if leaf == "kernel" else np.asarray
            return Source(f"{theirs(*places)}.{leaves[leaf]}", convert) if leaf in leaves else None
    return None


def _kernel(weights: np.ndarray) -> np.ndarray:
    return weights.transpose(2, 3, 1, 0) if weights.ndim == 4 else weights


def _require_network(ours: Iterable[str]) -> None:
    others = sorted({name.partition("/")[0] for name in ours if not name.startswith(SCOPE)})
    if others:
        raise UserError(f"weights of a PyTorch program for a run whose network is {others[0]}",
                        f"a run of {SCOPE[:-1]}, the U-Net of MMSegmentation",
                        "name the configuration that they were trained with, which decides the network: for instance "
                        "--recipe drive-fcn")


def _compare_heads(theirs: Mapping[str, np.ndarray], ours: Sequence[str]) -> None:
    """Whole heads that differ are told as such, before the names of their tensors."""
    there, here = _head(theirs, 0), _head(ours, 1)
    if there and here and there != here:
        raise UserError(f"a checkpoint with {there}; the run has {here}", f"a checkpoint with {here}",
                        "fetch that one, or choose another --recipe, one with the checkpoint's head")
    auxiliary = sorted(name for name in theirs if name.startswith(_AUXILIARY_THERE))
    if auxiliary and not any(name.startswith(_AUXILIARY_HERE) for name in ours):
        raise UserError(f"a checkpoint with an auxiliary head ({few(auxiliary)}); the run's network has none",
                        "a checkpoint without one", "choose another --recipe, one whose network has that head")


def _head(names: Iterable[str], side: int) -> Optional[str]:
    names = tuple(names)
    for head, marks in _HEADS.items():
        if any(name.startswith(marks[side]) for name in names):
            return head
    return None

