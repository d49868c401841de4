"""Whether a network and its peer compute the same function: logits, loss and gradients of the same weights and images.

The process that measures asks this first; the comparison is in float32, without dropout, of whole networks on small
images. Where rounding turns a ReLU over, gradients jump, behind batch normalisation most of all.
"""

from __future__ import annotations

import contextlib
import tempfile
from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple
from unittest import mock

import numpy as np
import tensorflow.compat.v1 as tf
import torch

from benchmark.kit.processes import answer, question
from benchmark.versus.cases import FLOAT32, Case
from benchmark.versus.ours import assembled, placeholders
from benchmark.versus.peers import Peer, build
from runtime.model_fn import forward
from runtime.settings.tree import TRAIN
from utils.contracts import StepContext
from utils.errors import UserError

SIZES = {"unet": 204}
"""Of the images that are compared, in pixels; 64 for other networks."""
BATCH = 2
ALLOWED = {"logits": 1e-4, "loss": 1e-5, "gradient": 2e-2}
"""Of the largest logit; of the loss; of the length of the gradient of all weights."""


class Computed(NamedTuple):
    """What a network computes of images, and of them with labels.

    Attributes:
        logits: float32 [batch, height, width, outputs], not training.
        loss: while training, without weight decay.
        gradients: of the loss, by the names of our variables; of a peer its moments stand beside them.
    """

    logits: np.ndarray
    loss: float
    gradients: Dict[str, np.ndarray]


class Given(NamedTuple):
    """What both compute from.

    Attributes:
        images: normalised, float32 [batch, height, width, channels].
        labels: int64 [batch, height, width], of the logits' size.
        shapes: of our variables, by name.
    """

    images: np.ndarray
    labels: np.ndarray
    shapes: Dict[str, Tuple[int, ...]]


def differences(network: str, filters: Optional[int] = None, compiled: bool = False) -> Dict[str, float]:
    """"logits", "loss" and "gradient": how far apart the two are, as a share of what `ALLOWED` says.

    Args:
        network: a name in `SUBJECTS`.
        filters: channels of the first level; as published by default.
        compiled: whether the peer goes through `torch.compile`.
    """
    peer = build(network, filters)
    peer.without_dropout()
    case = Case(network, TRAIN, FLOAT32, BATCH, SIZES.get(network, 64))
    ours, given = _ours(case, peer, {} if filters is None else {"filters": filters})
    theirs = _theirs(peer, given, compiled)
    apart, length = (_length(found) for found in zip(*(
        (theirs.gradients[name] - value, theirs.gradients[name]) for name, value in ours.gradients.items())))
    return {"logits": float(np.abs(ours.logits - theirs.logits).max() / np.abs(theirs.logits).max()),
            "loss": abs(ours.loss - theirs.loss) / abs(theirs.loss), "gradient": apart / length}


def require_same(network: str, found: Dict[str, float]) -> None:
    """Make sure that `differences` are no larger than what rounding explains.

    Raises:
        UserError: they are.
    """
    wrong = [f"{name} {found[name]:.2g}" for name in ALLOWED if not found[name] <= ALLOWED[name]]
    if wrong:
        allowed = ", ".join(f"{name} {value:g}" for name, value in ALLOWED.items())
        raise UserError(f"{network} and its peer differ: {', '.join(wrong)}", f"at most {allowed}, as shares",
                        "mend the one that is wrong; figures of different functions say nothing")


def _ours(case: Case, peer: Peer, more: Dict[str, Any]) -> Tuple[Computed, Given]:
    """What our network computes with the weights of its peer."""
    draws = np.random.RandomState(0)
    with tempfile.TemporaryDirectory() as scratch, tf.Graph().as_default(), _without_dropout():
        run = assembled(case, scratch, **more)
        features = placeholders(run)
        normalised = run.feeding.normalised(features["image"])
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            _, parts = forward(run, features)
            logits = run.network(normalised, StepContext(training=False, seed=0)).logits
        total = tf.add_n(list(parts.values()))
        gradients = dict(zip((variable.op.name for variable in tf.trainable_variables()),
                             tf.gradients(total, tf.trainable_variables())))
        fed = {features["image"]: draws.uniform(*_range(run), features["image"].shape.as_list()),
               features["label"]: draws.randint(0, 2, features["label"].shape.as_list())}
        shapes = {variable.op.name: tuple(variable.shape.as_list()) for variable in tf.global_variables()}
        with tf.Session(config=run.device.session_config()) as session:
            _load(session, peer.renamed(peer.values(), shapes))
            *found, images = session.run([logits, total, gradients, normalised], fed)
    return Computed(*found), Given(images, fed[features["label"]], shapes)


def _length(parts: Any) -> float:
    return float(np.sqrt(sum(np.square(part, dtype=np.float64).sum() for part in parts)))


def _range(run: Any) -> Tuple[float, float]:
    return (0.0, 255.0) if run.dataset.spec.image_dtype == "uint8" else (-1.0, 1.0)


def _load(session: tf.Session, values: Dict[str, np.ndarray]) -> None:
    variables = tf.global_variables()
    session.run([variable.initializer for variable in variables],
                {variable.initializer.inputs[1]: values[variable.op.name] for variable in variables})


def _theirs(peer: Peer, given: Given, compiled: bool) -> Computed:
    images = torch.from_numpy(np.ascontiguousarray(given.images.transpose(0, 3, 1, 2)))
    labels = torch.from_numpy(given.labels)
    through = torch.compile if compiled else lambda function: function
    peer.module.eval()
    with torch.no_grad():
        logits = through(peer.module)(images)[0].numpy().transpose(0, 2, 3, 1)
    peer.module.train()
    loss = through(lambda images, labels: peer.loss(peer.module(images), labels))(images, labels)
    loss.backward()
    return Computed(logits, loss.item(), peer.renamed(peer.gradients(), given.shapes))


@contextlib.contextmanager
def _without_dropout() -> Iterator[None]:
    with mock.patch("model.unet.DROPOUT_RATE", 0.0), mock.patch("model.heads.DROPOUT_RATE", 0.0):
        yield


if __name__ == "__main__":
    asked = question()
    differing = differences(asked["network"], compiled=asked["compiled"])
    require_same(asked["network"], differing)
    answer(differing)
