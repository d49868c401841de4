"""Whether an export gives what the Estimator gives: the same images, the same checkpoint, both in float32.

The two limits. Float32 has 24 bits, and a sum over some thousand products, taken in another order, differs in the last
few of them: by 1e-6 of the logits of a network of this depth, and by less of its probabilities. Some kernels
(Winograd's) lose another digit or two. `TOLERANCE` stands above that, and far below what a wrong padding, a swapped
channel or 16-bit weights change. A class may differ where the Estimator itself is undecided: where its two likeliest
classes lie within twice the tolerance, since either may be off. Everywhere else all pixels must agree.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from datasets.base import TEST, TRAIN
from datasets.pipeline import Share, evaluation_batches
from runtime.assembly import Run
from runtime.checkpoints.find import Checkpoint, checkpoint_directory
from runtime.exports.served import CLASSES, PROBABILITIES, SCORE
from runtime.model_fn import predicting_fn
from runtime.restore import reading
from utils.errors import UserError

TOLERANCE = 1e-4
IMAGES = 3

Outputs = Mapping[str, np.ndarray]


class Reference(NamedTuple):
    """An image, and what the Estimator predicts of it.

    Attributes:
        image: its id.
        pixels: as its file has them, [height, width, channels].
        outputs: as those of a `Served`, for this one image.
    """

    image: str
    pixels: np.ndarray
    outputs: Dict[str, np.ndarray]


def compared_split(run: Run) -> str:
    """The split whose images are compared: the first that there is, of the test, the scored and the training images.

    Raises:
        UserError: there is none.
    """
    for split in (TEST, run.dataset.evaluation_split):
        try:
            if run.dataset.ids(split):
                return split
        except UserError:
            continue
    run.dataset.ids(TRAIN)
    return TRAIN


def references(run: Run, checkpoint: Checkpoint, split: str, threshold: Optional[float]) -> List[Reference]:
    """What `--exec_mode predict` predicts of the first images of a split.

    Raises:
        UserError: an image cannot be read.
    """
    names = run.dataset.ids(split)[:IMAGES]
    with run.faults.told(), reading(checkpoint):
        pages = list(_pages(run, checkpoint, split))
    return [Reference(name, run.dataset.pixels(name), _outputs(page, threshold)) for name, page in zip(names, pages)]


def _pages(run: Run, checkpoint: Checkpoint, split: str) -> Iterator[Mapping[str, np.ndarray]]:
    directory = checkpoint_directory(run.settings.run.model_dir)
    estimator = run.device.estimator(predicting_fn(run, split), directory, run.settings.training.seed)
    return estimator.predict(lambda: evaluation_batches(run.dataset, split, run.feeding, Share(1)).take(IMAGES),
                             checkpoint_path=checkpoint.path)


def _outputs(page: Mapping[str, np.ndarray], threshold: Optional[float]) -> Dict[str, np.ndarray]:
    outputs = {name: page[name] for name in (PROBABILITIES, CLASSES, SCORE) if name in page}
    if threshold is not None:
        outputs[CLASSES] = (outputs[PROBABILITIES][..., 1] > threshold).astype(np.uint8)
    return outputs


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One image.

    Attributes:
        difference: the largest of two probabilities, or scores; infinite where one of them is no number.
        agreement: share of the pixels that have the same class.
        decided_agreement: the same, of the pixels that the Estimator is not undecided about; 1 where there are none.
        undecided: share of the pixels that it is undecided about.
    """

    difference: float
    agreement: float
    decided_agreement: float
    undecided: float

    @property
    def passes(self) -> bool:
        """Whether it is within the limits."""
        return self.difference <= TOLERANCE and self.decided_agreement == 1.0


def compare(found: Outputs, expected: Outputs, threshold: Optional[float]) -> Comparison:
    """What an export gave of one image beside what the Estimator gave, both without the axis of the batch.

    Raises:
        ValueError: outputs are missing, or have other shapes or types.
    """
    for name, value in expected.items():
        if name not in found or found[name].shape != value.shape or found[name].dtype != value.dtype:
            raise ValueError(f"{name}: {_described(found.get(name))} instead of {_described(value)}")
    differences = [np.abs(found[name].astype(np.float64) - expected[name]).max() for name in (PROBABILITIES, SCORE)
                   if name in expected]
    same = found[CLASSES] == expected[CLASSES]
    decided = _margins(expected[PROBABILITIES], threshold) > 2.0 * TOLERANCE
    largest = float(np.max(differences))
    return Comparison(largest if np.isfinite(largest) else np.inf, float(same.mean()),
                      float(same[decided].mean()) if decided.any() else 1.0, float(1.0 - decided.mean()))


def _margins(probabilities: np.ndarray, threshold: Optional[float]) -> np.ndarray:
    """By how much each pixel is decided: twice the distance from the threshold, or that between the two likeliest."""
    if threshold is not None:
        return 2.0 * np.abs(probabilities[..., 1] - threshold)
    first, second = np.moveaxis(np.sort(probabilities, axis=-1)[..., :-3:-1], -1, 0)
    return first - second


def _described(value: Optional[np.ndarray]) -> str:
    return "nothing" if value is None else f"{value.dtype} {list(value.shape)}"


def report(function: Callable[[np.ndarray], Outputs], known: Sequence[Reference], threshold: Optional[float],
           dtype: str) -> Dict[str, Any]:
    """Run an export on each image and compare; as `parity.json` has it.

    Args:
        function: the export.
        known: the images.
        threshold: as for `serve`.
        dtype: of the export's input.

    Returns:
        "passed", "limits", the worst of all images as "max_abs_difference" and "mask_agreement", and "images".
    """
    rows = []
    for reference in known:
        found = function(reference.pixels[np.newaxis].astype(dtype))
        outcome = compare({name: value[0] for name, value in found.items()}, reference.outputs, threshold)
        rows.append((reference, outcome))
    return {
        "passed": all(outcome.passes for _, outcome in rows),
        "limits": {"max_abs_difference": TOLERANCE, "decided_agreement": 1.0},
        "max_abs_difference": _finite(max(outcome.difference for _, outcome in rows)),
        "mask_agreement": min(outcome.agreement for _, outcome in rows),
        "images": [{"image": reference.image, "height": reference.pixels.shape[0], "width": reference.pixels.shape[1],
                    "max_abs_difference": _finite(outcome.difference), "mask_agreement": outcome.agreement,
                    "decided_agreement": outcome.decided_agreement, "undecided": outcome.undecided}
                   for reference, outcome in rows]}


def _finite(value: float) -> Optional[float]:
    """A number for JSON, which has no infinity: null is a difference that is no number."""
    return value if np.isfinite(value) else None
