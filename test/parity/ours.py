"""The project's side of the comparisons."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Tuple
from unittest import mock

import numpy as np
import tensorflow.compat.v1 as tf

from model.catalogue import build_network
from model.options import ModelOptions
from runtime.checkpoints.foreign.mmseg import from_mmseg
from utils.contracts import DataSpec, StepContext

CLASSES = {"fcn": 2, "pspnet": 2, "deeplabv3": 2, "cityscapes": 19}


def spec(kind: str) -> DataSpec:
    """What the data of a kind is."""
    return DataSpec("any", 3, tuple(f"class{index}" for index in range(CLASSES[kind])), 0, image_dtype="uint8")


def network(kind: str, filters: int) -> Any:
    """Our network of a kind, `filters` wide."""
    head = "fcn" if kind == "cityscapes" else kind
    return build_network(ModelOptions(model="unet_s5_d16", decode_head=head, filters=filters), spec(kind))


def training_context(batch: int) -> StepContext:
    """That of a step in one process."""
    return StepContext(True, 0, tf.zeros([batch, 2], tf.int64))


def without_dropout() -> Any:
    """A context in which our heads drop nothing: the two programs' random numbers differ."""
    return mock.patch("model.heads.DROPOUT_RATE", 0.0)


def shapes(variables: Any) -> Dict[str, Tuple[int, ...]]:
    """Shapes by name."""
    return {variable.op.name: tuple(variable.shape.as_list()) for variable in variables}


def load(session: tf.Session, values: Mapping[str, np.ndarray]) -> None:
    """Give the variables of the graph that `values` name their values."""
    given = [variable for variable in tf.global_variables() if variable.op.name in values]
    # All in one run: each further one would take the graph apart anew.
    session.run([variable.initializer for variable in given],
                {variable.initializer.inputs[1]: values[variable.op.name] for variable in given})


def outputs(kind: str, filters: int, tensors: Mapping[str, np.ndarray], images: np.ndarray,
            training: bool) -> Tuple[np.ndarray, ...]:
    """Logits, and while training those of the auxiliary head, of normalised images [batch, height, width, 3].

    The weights are those of a state dict of MMSegmentation.
    """
    if not training:
        tensors = {name: value for name, value in tensors.items() if not name.startswith("auxiliary_head.")}
    with tf.Graph().as_default(), tf.Session() as session, without_dropout():
        context = training_context(len(images)) if training else StepContext(False, 0)
        found = network(kind, filters)(tf.constant(images), context)
        load(session, from_mmseg(tensors, shapes(tf.global_variables())))
        return tuple(session.run([found.logits, *found.auxiliaries]))
