"""The plain U-Net that UNet++ is measured against (Zhou et al., arXiv:1807.10165).

Of UNet++ it keeps the encoder and the last node of each level, with X^{i,0} alone as skip. For one channel and one
output there are 7,759,521 parameters; with 35 channels in the first level, the authors' "wide U-Net", 9,282,246.
"""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from model.options import ModelOptions
from model.unetpp import DEPTH, NodeNetwork, sizes
from utils.contracts import DataSpec, StepContext, Tensor


class PlainUNet(NodeNetwork):
    """Five encoder nodes, four on the way up, one head; of another `depth` one more than that, and that."""

    scope = "plain_unet"
    takes: Tuple[str, ...] = ("normalisation", "depth")

    def __init__(self, options: ModelOptions, spec: DataSpec, outputs: Optional[int] = None) -> None:
        super().__init__(options, spec, outputs)
        self.depth = options.depth or DEPTH
        self.geometry = sizes(self.depth)

    def _heads(self, images: Tensor, context: StepContext) -> Sequence[Tensor]:
        skips = self._encode(images, context)
        features = skips[self.depth]
        for level in reversed(range(self.depth)):
            features = self._nested((level, self.depth - level), features, [skips[level]], context)
        return [self._head(self.depth, features, context)]

    def _encode(self, images: Tensor, context: StepContext) -> List[Tensor]:
        """The features of each level, the finest first."""
        found: List[Tensor] = []
        for level in range(self.depth + 1):
            found.append(self._encoder((level, 0), found[-1] if found else images, context))
        return found
