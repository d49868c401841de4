"""The peer's side: a process that measures steps on a batch that lies in memory, with as many threads as cores.

In bfloat16 it trains under autocast and predicts with weights that are bfloat16, which spares it the casts. Gradients
are set to none, optimisers are fused where PyTorch has that. Predicting ends with the class of each pixel.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from typing import Any, Callable, Dict

import torch

from benchmark.kit.processes import answer, question
from benchmark.versus.cases import BFLOAT16, Case
from benchmark.versus.peers import Peer, build
from runtime.settings.tree import TRAIN

Step = Callable[[], Any]


def measure(case: Case, layout: str, compiled: bool, warmup_steps: int, steps: int) -> Dict[str, float]:
    """The median "seconds" of a step, and the largest "memory_mib" of this process."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    step = step_of(build(case.network), case, layout, compiled)
    seconds = []
    for _ in range(warmup_steps + steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds[warmup_steps:]),
            "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0}


def step_of(peer: Peer, case: Case, layout: str, compiled: bool) -> Step:
    """A function that trains or predicts one batch of random images, in one of LAYOUTS."""
    torch.manual_seed(0)
    memory_format = getattr(torch, layout)
    peer.module.to(memory_format=memory_format)
    images = torch.randn(case.batch_size, peer.channels, case.size, case.size)
    images = images.contiguous(memory_format=memory_format)
    if case.mode == TRAIN:
        return _training(peer, images, case.precision == BFLOAT16, compiled)
    return _prediction(peer, images.bfloat16() if case.precision == BFLOAT16 else images, compiled)


def _training(peer: Peer, images: torch.Tensor, narrow: bool, compiled: bool) -> Step:
    extent = images.shape[-1] - 2 * peer.margin
    labels = torch.randint(0, 2, (len(images), extent, extent))
    optimiser = peer.optimiser(peer.module.train().parameters())

    def compute() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            heads = peer.module(images)
        return peer.loss(heads, labels)

    loss = torch.compile(compute) if compiled else compute

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss().backward()
        optimiser.step()

    return step


def _prediction(peer: Peer, images: torch.Tensor, compiled: bool) -> Step:
    module = peer.module.eval().to(images.dtype)

    def compute() -> torch.Tensor:
        logits = module(images)[0]
        return logits.argmax(dim=1) if logits.shape[1] > 1 else logits[:, 0] > 0.0

    classes = torch.compile(compute) if compiled else compute

    def step() -> None:
        with torch.inference_mode():
            classes()

    return step


if __name__ == "__main__":
    asked = question()
    answer(measure(Case(**asked["case"]), asked["layout"], asked["compiled"], asked["warmup_steps"], asked["steps"]))
