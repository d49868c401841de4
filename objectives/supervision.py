"""Deep supervision: one loss, taken on every head of a network."""

from __future__ import annotations

from typing import Callable, Dict, Optional, Tuple

import tensorflow.compat.v1 as tf

from utils.contracts import Outputs, Tensor
from utils.errors import UserError


def over_heads(outputs: Outputs, weights: Optional[Tuple[float, ...]],
               loss: Callable[[Tensor], Dict[str, Tensor]]) -> Dict[str, Tensor]:
    """The weighted means of the parts that `loss` gives for the logits of each head; plain means without weights.

    Args:
        outputs: of a network while it trains; heads smaller than the output are scaled up, as by `scaled_to`.
        weights: one for each head: of the output itself, then of the others in the network's order.
        loss: from logits to scalars by name.

    Raises:
        UserError: there are more or fewer weights than heads.
    """
    heads = (outputs.logits, *(scaled_to(outputs.logits, head) for head in outputs.auxiliaries))
    weights = (1.0,) * len(heads) if weights is None else weights
    if len(weights) != len(heads):
        raise UserError(f"{len(weights)} head_weights for {len(heads)} heads", f"{len(heads)} numbers",
                        "give one weight for each head, or leave head_weights out for equal ones")
    each = [loss(head) for head in heads]
    return {name: tf.add_n([weight * parts[name] for weight, parts in zip(weights, each)]) / sum(weights)
            for name in each[0]}


def scaled_to(reference: Tensor, logits: Tensor) -> Tensor:
    """Logits, [batch, height, width, channels], at the height and width of `reference`, half-pixel bilinear.

    Args:
        reference: [batch, height, width, ...].
        logits: of any size; those of the same size are given back.
    """
    if logits.shape[1:3].as_list() == reference.shape[1:3].as_list():
        return logits
    return tf.image.resize_bilinear(logits, tf.shape(reference)[1:3], half_pixel_centers=True)
