"""Steps of training, there and here, from the same state on the same batch."""

from __future__ import annotations

import copy
import types
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow.compat.v1 as tf
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

from datasets.native_crops import IMAGENET_DEVIATION, IMAGENET_MEAN
from objectives.base import Targets
from objectives.options import ObjectiveOptions
from objectives.semantic import Semantic
from runtime.checkpoints.foreign.mmseg import from_mmseg
from runtime.devices.cpu import CPU
from runtime.distributed.base import Distributed
from runtime.faults import Faults
from runtime.optimisers import learning_rate, weight_decay_loss
from runtime.settings.tree import DeviceOptions, TrainingOptions
from runtime.update import build_update
from utils.contracts import MOVING

from . import ours, reference

MAX_STEPS = 40000
NUDGE = 1e-7
"""What every normalised pixel of a perturbed run is more or less."""
Arrays = Dict[str, np.ndarray]


class Batch(NamedTuple):
    """Images uint8 [batch, height, width, 3], red first, and labels [batch, height, width]."""

    images: np.ndarray
    labels: np.ndarray


class Step(NamedTuple):
    """What one step did.

    Attributes:
        before, after: the state dict.
        velocity, next_velocity: of the optimiser, by the names of the state dict.
        losses: "ce", "dice" and "auxiliary_ce".
        gradient_norm: of the loss without weight decay.
        rate: the learning rate.
        gradients: those of ours, by name.
    """

    before: Arrays
    velocity: Arrays
    losses: Dict[str, float]
    gradient_norm: float
    rate: float
    after: Arrays
    next_velocity: Arrays
    gradients: Arrays


def some_batch(step: int, size: int, batch: int) -> Batch:
    """Pictures with structure: a random background and bright vessels, which the label shows."""
    draws = np.random.RandomState(1000 + step)
    rows, columns = np.mgrid[:size, :size]
    labels = np.stack([((rows * draws.randint(1, 4) + columns * draws.randint(1, 4)) // draws.randint(4, 9)) % 4 == 0
                       for _ in range(batch)]).astype(np.int32)
    images = draws.randint(20, 120, [batch, size, size, 3]) + 90 * labels[..., np.newaxis]
    return Batch(images.astype(np.uint8), labels)


class Theirs:
    """MMSegmentation's training: its model, optimiser and schedule, as the configuration file says.

    Args:
        kind, filters, dice: which model.
        perturbed: seed of the signs of `NUDGE` for every pixel; without it pixels are as they are.
    """

    def __init__(self, kind: str, filters: int, dice: bool, perturbed: Optional[int] = None) -> None:
        settings = reference.config(kind, dice)
        self.model = reference.build(kind, filters, dice, dropout=False)
        self.model.train()
        self.wrapper = build_optim_wrapper(self.model, settings.optim_wrapper)
        schedule = dict(settings.param_scheduler[0], optimizer=self.wrapper.optimizer)
        self.schedule = PARAM_SCHEDULERS.build(schedule)
        self.norms: List[float] = []
        self.wrapper.optimizer.register_step_pre_hook(lambda *_: self.norms.append(_norm(self.model)))
        if perturbed is not None:
            self.model.data_preprocessor.register_forward_hook(_nudging(perturbed))

    def step(self, batch: Batch) -> Step:
        """One step of training."""
        before, velocity, rate = reference.arrays(self.model), self._velocity(), self._rate()
        found = self.model.train_step(_data(batch), self.wrapper)
        self.schedule.step()
        losses = {"ce": found["decode.loss_ce"], "auxiliary_ce": found["aux.loss_ce"]}
        if "decode.loss_dice" in found:
            losses["dice"] = found["decode.loss_dice"]
        return Step(before, velocity, {name: value.item() for name, value in losses.items()}, self.norms[-1], rate,
                    reference.arrays(self.model), self._velocity(), {})

    def coming_step_in_float64(self, batch: Batch) -> Tuple[float, Arrays]:
        """The norm of the gradient and the state dict that the coming step would have without float32's rounding."""
        twin, optimiser = copy.deepcopy(self.model).double(), self.wrapper.optimizer
        own = {name: value for name, value in optimiser.param_groups[0].items() if name in optimiser.defaults}
        precise = torch.optim.SGD(twin.parameters(), **own)
        for parameter, double in zip(self.model.parameters(), twin.parameters()):
            if parameter in optimiser.state:
                velocity = optimiser.state[parameter]["momentum_buffer"]
                precise.state[double]["momentum_buffer"] = velocity.double()
        data = self.model.data_preprocessor(_data(batch), True)
        total, _ = twin.parse_losses(twin.loss(data["inputs"].double(), data["data_samples"]))
        precise.zero_grad()
        total.backward()
        precise.step()
        return _norm(twin), reference.arrays(twin)

    def _rate(self) -> float:
        return float(self.wrapper.optimizer.param_groups[0]["lr"])

    def _velocity(self) -> Arrays:
        state = self.wrapper.optimizer.state
        return {name: state[parameter]["momentum_buffer"].numpy().copy() if parameter in state else
                np.zeros(tuple(parameter.shape), np.float32) for name, parameter in self.model.named_parameters()}


def _data(batch: Batch) -> Dict[str, Any]:
    return {"inputs": [reference.eight_bit(image) for image in batch.images],
            "data_samples": [reference.labelled(label) for label in batch.labels]}


def _norm(model: Any) -> float:
    return sum(float((parameter.grad.double() ** 2).sum()) for parameter in model.parameters()) ** 0.5


def _nudging(seed: int) -> Any:
    """A hook that moves the pixels that a preparation gives."""
    draws = np.random.RandomState(seed)

    def moved(module: Any, arguments: Any, data: Dict[str, Any]) -> Dict[str, Any]:
        signs = draws.choice([-NUDGE, NUDGE], tuple(data["inputs"].shape)).astype(np.float32)
        return dict(data, inputs=data["inputs"] + torch.from_numpy(signs))

    return moved


class Ours:
    """Our training: network, objective, schedule, weight decay and update, set as the recipe of a kind sets them."""

    def __init__(self, kind: str, filters: int, dice: bool, batch: Batch) -> None:
        training = TrainingOptions(
            optimiser="momentum", momentum=0.9, learning_rate=0.01, learning_rate_schedule="poly", max_steps=MAX_STEPS,
            weight_decay=5e-4, weight_decay_scope="all")
        objective = Semantic(ObjectiveOptions(objective="semantic", dice_weight=3.0 if dice else 0.0,
                                              dice_version="1.2.2"), ours.spec(kind))
        self.graph = tf.Graph()
        with self.graph.as_default(), ours.without_dropout():
            self.number = tf.train.get_or_create_global_step()
            self.images = tf.placeholder(tf.float32, batch.images.shape)
            self.labels = tf.placeholder(tf.int32, batch.labels.shape)
            normalised = (self.images - IMAGENET_MEAN) / IMAGENET_DEVIATION
            found = ours.network(kind, filters)(normalised, ours.training_context(len(batch.images)))
            parts = objective.loss_parts(found, Targets(self.labels, tf.ones(batch.labels.shape)))
            total = tf.add_n(list(parts.values()))
            gradients = tf.gradients(total, tf.trainable_variables())
            rate = learning_rate(training)
            run = types.SimpleNamespace(settings=types.SimpleNamespace(training=training), faults=Faults(),
                                        device=CPU(DeviceOptions()), distributed=Distributed())
            minimised = total + weight_decay_loss(training)
            update = build_update(run, minimised, {"train_total_loss": total}, rate)
            self.found = {"losses": parts, "norm": tf.global_norm(gradients), "rate": rate, "gradients": {
                variable.op.name: gradient for variable, gradient in zip(tf.trainable_variables(), gradients)}}
            self.update = update.op
            self.weights = ours.shapes(tf.trainable_variables() + [pair[0] for pair in tf.get_collection(MOVING)])
            # One thread sums in one order, so that gradients that are computed twice are the same.
            self.session = tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=1,
                                                            inter_op_parallelism_threads=1))
            self.session.run(tf.global_variables_initializer())

    def step(self, number: int, batch: Batch, state: Step) -> Step:
        """The same step as `state`, which `expected` gave, from where that began."""
        self.begin(state)
        found = self.go_on(number, batch)
        with self.graph.as_default():
            after, velocity = (self._values(end) for end in ("", "/Momentum"))
        return Step(state.before, state.velocity, found["losses"], float(found["norm"]), float(found["rate"]), after,
                    velocity, found["gradients"])

    def begin(self, state: Step) -> None:
        """Take weights, moments and velocity from where `state`, which `expected` gave, began."""
        slots = {name + "/Momentum": value for name, value in state.velocity.items()}
        with self.graph.as_default():
            ours.load(self.session, {**state.before, **slots})

    def go_on(self, number: int, batch: Batch) -> Any:
        """One step from where it is: "losses", "norm", "rate", "gradients"."""
        feed = {self.images: batch.images, self.labels: batch.labels}
        with self.graph.as_default():
            self.number.load(number, self.session)
            return self.session.run(dict(self.found, update=self.update), feed)

    def expected(self, state: Step) -> Step:
        """`state` by our names."""
        return state._replace(before=self._converted(state.before), after=self._converted(state.after),
                              velocity=self._velocity(state.velocity, state.before),
                              next_velocity=self._velocity(state.next_velocity, state.before))

    def _velocity(self, velocity: Arrays, filling: Arrays) -> Arrays:
        """That of what is trained, by our names."""
        return {name: value for name, value in self._converted({**filling, **velocity}).items()
                if not name.endswith(("moving_mean", "moving_variance"))}

    def _converted(self, tensors: Arrays) -> Arrays:
        return from_mmseg(tensors, self.weights)

    def _values(self, end: str) -> Arrays:
        held = {variable.op.name: variable for variable in tf.global_variables()}
        wanted = {name: held[name + end] for name in self.weights if name + end in held}
        return self.session.run(wanted)


def steps(kind: str, filters: int, dice: bool, count: int, size: int, batch: int) -> Iterator[Any]:
    """(ours, theirs, theirs in float64) of each of `count` successive steps; all begin where theirs began."""
    theirs = Theirs(kind, filters, dice)
    mine = Ours(kind, filters, dice, some_batch(0, size, batch))
    for number in range(count):
        drawn = some_batch(number, size, batch)
        norm, after = theirs.coming_step_in_float64(drawn)
        found = theirs.step(drawn)
        state, precise = mine.expected(found), mine.expected(found._replace(gradient_norm=norm, after=after))
        yield mine.step(number, drawn, state), state, precise


def curves(kind: str, filters: int, dice: bool, count: int, size: int, batch: int) -> Tuple[np.ndarray, ...]:
    """The loss of `count` steps that follow each other freely: ours, theirs, and theirs of two perturbed runs."""
    batches = [some_batch(number, size, batch) for number in range(count)]
    mine, theirs = Ours(kind, filters, dice, batches[0]), []
    for seed in (None, 1, 2):
        training = Theirs(kind, filters, dice, seed)
        found = [training.step(drawn) for drawn in batches]
        theirs.append([sum(step.losses.values()) for step in found])
        if seed is None:
            mine.begin(mine.expected(found[0]))
    found = [mine.go_on(number, drawn) for number, drawn in enumerate(batches)]
    return (np.array([sum(step["losses"].values()) for step in found]), *(np.array(curve) for curve in theirs))


def updated(state: Step, settings: Any) -> Tuple[Arrays, Arrays]:
    """Weights and velocity that PyTorch's optimiser makes of the `gradients` of a step, as a configuration sets it."""
    parameters = {name: torch.nn.Parameter(torch.from_numpy(state.before[name].copy())) for name in state.gradients}
    options = {name: value for name, value in settings.optim_wrapper.optimizer.items() if name not in ("type", "lr")}
    optimiser = torch.optim.SGD(parameters.values(), lr=state.rate, **options)
    for name, parameter in parameters.items():
        parameter.grad = torch.from_numpy(state.gradients[name])
        optimiser.state[parameter]["momentum_buffer"] = torch.from_numpy(state.velocity[name].copy())
    optimiser.step()
    return ({name: parameter.detach().numpy() for name, parameter in parameters.items()},
            {name: optimiser.state[parameter]["momentum_buffer"].numpy() for name, parameter in parameters.items()})
