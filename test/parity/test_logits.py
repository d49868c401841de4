"""The network on the same weights and images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from . import ours, reference

HEADS = ("fcn", "pspnet", "deeplabv3")
SIZES = [(kind, (size, size)) for kind in HEADS for size in (64, 128, 256)] + [("cityscapes", (64, 128))]


def some_images(height, width, batch):
    """Normalised images, float32 [batch, height, width, 3]."""
    return np.random.RandomState(height).normal(0.0, 1.0, [batch, height, width, 3]).astype(np.float32)


@pytest.fixture(scope="module", params=[*HEADS, "cityscapes"])
def published(request):
    """A kind, its model at the published width, and the model's tensors."""
    model = reference.build(request.param, dropout=False)
    return request.param, model, reference.arrays(model)


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (256, 256), (64, 128)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_inference(published, size, compare):
    kind, model, tensors = published
    if (kind, size) not in SIZES:
        pytest.skip("other sizes are compared for this model")
    images = some_images(*size, batch=2)
    model.eval()
    with torch.no_grad():
        theirs = reference.channels_last(model(reference.channels_first(images), mode="tensor"))
    found, = ours.outputs(kind, reference.PUBLISHED_WIDTH, tensors, images, training=False)
    assert theirs.std() > 0.1
    compare(f"logits, {kind}, {size[0]} x {size[1]}", found, theirs, 1e-4)


def test_training(published, compare):
    """With the batch's own moments, and with the auxiliary head.

    Moments over as few as 64 values make more of rounding: MMSegmentation itself is 1e-4 away from what it gives in
    float64.
    """
    kind, model, tensors = published
    images = some_images(64, 64, batch=4)
    model.train()
    with torch.no_grad():
        features = model.extract_feat(reference.channels_first(images))
        theirs = [reference.channels_last(head(features)) for head in (model.decode_head, model.auxiliary_head)]
    model.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    found = ours.outputs(kind, reference.PUBLISHED_WIDTH, tensors, images, training=True)
    for name, mine, his in zip(("decode", "auxiliary"), found, theirs):
        compare(f"{name} head's logits while training, {kind}, 64 x 64", mine, his, 5e-4)
