"""Several runs that predict together: the mean of their probabilities."""

from __future__ import annotations

import contextlib
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Generator, Iterator, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.pipeline import evaluation_batches
from runtime.assembly import Run
from runtime.checkpoints.find import Checkpoint, checkpoint_directory
from runtime.model_fn import SCORED, counted, predicting_fn
from runtime.restore import reading
from utils.errors import UserError

Page = Mapping[str, np.ndarray]
"""What one run predicts of one image, or of a batch, by name."""
Pages = Generator[Page, None, None]


class Member(NamedTuple):
    """A run and the checkpoint that it predicts with."""

    run: Run
    checkpoint: Checkpoint


@contextlib.contextmanager
def told(members: Sequence[Member]) -> Iterator[None]:
    """Tell what happens to any of the members while the body computes with them as what it is.

    Raises:
        UserError: an image cannot be read, or a checkpoint vanished.
    """
    with contextlib.ExitStack() as held:
        for run, checkpoint in members:
            held.enter_context(run.faults.told())
            held.enter_context(reading(checkpoint))
        yield


def require_agreement(runs: Sequence[Run], split: str) -> None:
    """Make sure that runs mean the same by classes and by pixels, and have the same images in a split.

    Raises:
        UserError: two do not; the text names both.
    """
    first = runs[0]
    for other in runs[1:]:
        mine, theirs = _meaning(first), _meaning(other)
        differing = [name for name in mine if mine[name] != theirs[name]]
        if differing:
            name = differing[0]
            raise UserError(f"--ensemble: {_told(mine[name])} ({name}) of {first.settings.run.model_dir}, "
                            f"{_told(theirs[name])} of {other.settings.run.model_dir}",
                            "runs on the same data, which differ in their networks, their folds or their seeds",
                            "leave one of them out")
        if list(first.dataset.ids(split)) != list(other.dataset.ids(split)):
            raise UserError(f"--ensemble: {first.settings.run.model_dir} and {other.settings.run.model_dir} have other "
                            f"images in the {split} split", "the same ones; images that one of five folds holds out "
                            "have trained the others", "leave one of them out, or name images with --input")


def require_same_view(runs: Sequence[Run]) -> None:
    """Make sure that runs give logits for the same pixels of a batch, so that these can be scored together.

    Raises:
        UserError: two do not; the text names both.
    """
    first, *others = runs
    for other in others:
        if _view(first) != _view(other):
            raise UserError(f"--ensemble: {first.settings.run.model_dir} feeds {_view(first)}, "
                            f"{other.settings.run.model_dir} {_view(other)}", "runs that see images alike, which only "
                            "prediction does without", "leave one of them out, or predict")


def _view(run: Run) -> str:
    name = run.settings.data.feeding
    if not run.feeding.batched:
        return name
    output = run.network.geometry.output_size(run.feeding.window[0])
    return f"{name}, scored at {output} x {output} pixels of {run.feeding.window[0]}"


def _meaning(run: Run) -> Dict[str, Any]:
    """What must be the same, by its name for people."""
    spec, rule = run.dataset.spec, run.dataset.pixel_rule
    return {"data set": spec.name, "classes": spec.class_names, "colours": spec.palette, "channels": rule.channels,
            "scale of pixels": dict(rule.bounds), "grey among coloured images": rule.grey_repeated}


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def pages_of(member: Member, split: str, only: Optional[Sequence[int]] = None, with_scored: bool = False) -> Pages:
    """What a member predicts of each image of a split, or of some places in it only, in their order; one process works
    for all ranks. See `runtime.model_fn.predicting_fn`.
    """
    run = member.run
    directory = checkpoint_directory(run.settings.run.model_dir)
    estimator = run.device.estimator(predicting_fn(run, split, with_scored), directory, run.settings.training.seed)
    share = dataclasses.replace(run.share, rank=0, size=1, local_size=1)
    return estimator.predict(lambda: evaluation_batches(run.dataset, split, run.feeding, share, only),
                             checkpoint_path=member.checkpoint.path)


def decided(page: Page, threshold: Optional[float]) -> np.ndarray:
    """The classes of what is predicted of an image, uint8 [height, width]: the likelier ones, or of two the second
    where its probability exceeds the threshold.
    """
    return page["classes"] if threshold is None else (page["probabilities"][..., 1] > threshold).astype(np.uint8)


def predicted(members: Sequence[Member], split: str) -> Pages:
    """What all members predict of each image of a split in turn, averaged; and where the first one's objective judges
    images, the "score" of that mean.

    It is the one that evaluation gives them, at the size that the networks give, where the members see images alike;
    else that of the mean at the images' own size.
    """
    first, *others = [member.run for member in members]
    judged = bool(others) and first.objective.judges_images
    alike = all(_view(first) == _view(other) for other in others)
    pages = averaged(members, lambda own: pages_of(own, split, with_scored=judged and alike))
    return with_scores(first, pages) if judged else pages


def with_scores(run: Run, pages: Pages) -> Pages:
    """Averaged pages, each with the "score" that a run's objective gives it, float32."""
    with on_the_host() as session, contextlib.closing(pages):
        probabilities = tf.placeholder(tf.float32, [1, None, None, run.dataset.spec.classes])
        valid = tf.placeholder(tf.float32, [1, None, None])
        score = run.objective.image_scores(run.objective.logits(probabilities), valid)
        for page in pages:
            scored = page.get(SCORED, page["probabilities"])
            counts = page.get("valid", np.ones(scored.shape[:2], np.float32))
            found = session.run(score, {probabilities: scored[np.newaxis], valid: counts[np.newaxis]})
            yield dict(page, score=found[0])


def averaged(members: Sequence[Member], predict: Callable[[Member], Pages]) -> Pages:
    """What all members predict of each image in turn, averaged; one image at a time is in memory."""
    if len(members) == 1:
        yield from predict(members[0])
        return
    for pages in together(members, predict):
        yield mean(pages)


def ahead(make: Callable[[], Pages]) -> Pages:
    """The pages of the stream that `make` makes; the next one is computed while whoever takes them uses the last."""
    with contextlib.ExitStack() as held:
        ask = _asked(held, make)
        answer = ask()
        while True:
            page = answer()
            if page is None:
                return
            answer = ask()
            yield page


def together(members: Sequence[Member], predict: Callable[[Member], Pages]) -> Iterator[List[Page]]:
    """What each member predicts of an image, or of a batch, in turn.

    Each has a thread of its own: TensorFlow keeps track of graphs by threads, and they are left in no order.
    """
    with contextlib.ExitStack() as held:
        asking = [_asked(held, lambda member=member: predict(member)) for member in members]  # type: ignore[misc]
        while True:
            pages = [answer() for answer in [ask() for ask in asking]]
            if any(page is None for page in pages):
                return
            yield pages


def _asked(held: contextlib.ExitStack, make: Callable[[], Pages]) -> Callable[[], Callable[[], Any]]:
    """What asks a stream that lives in its own thread for its next page (None behind the last), and is answered."""
    pool = held.enter_context(ThreadPoolExecutor(1))
    stream = pool.submit(make).result()
    held.callback(lambda: pool.submit(stream.close).result())
    return lambda: pool.submit(next, stream, None).result


def mean(pages: Sequence[Page]) -> Dict[str, np.ndarray]:
    """The mean of the probabilities, of those too that the image is `SCORED` by where they are there; the classes that
    are likeliest by it; and which pixels are "valid".
    """
    found = _means(pages, ("probabilities", SCORED))
    found["classes"] = found["probabilities"].argmax(axis=-1).astype(np.uint8)
    return {**found, **{name: pages[0][name] for name in ("valid",) if name in pages[0]}}


def _means(pages: Sequence[Page], names: Sequence[str]) -> Dict[str, np.ndarray]:
    """The means of what is there by these names."""
    return {name: _mean([page[name] for page in pages]) for name in names if name in pages[0]}


def _mean(arrays: List[np.ndarray]) -> np.ndarray:
    total = np.array(arrays[0])
    for array in arrays[1:]:
        total += array
    return np.asarray(total / np.float32(len(arrays)))


def count_together(members: Sequence[Member], predict: Callable[[Member], Pages]) -> Pages:
    """The counts of every batch by the mean of the members' probabilities, and the mean of their maps, if any.

    Args:
        members: that agree, and see images alike; the first one's objective counts, whatever those of the others.
        predict: what `runtime.model_fn.scored_fn` has of every batch.
    """
    run = members[0].run
    fed: Dict[str, Any] = {}
    with on_the_host() as session:
        for pages in together(members, predict):
            maps = _means(pages, ("map",))
            batch = {name: array for name, array in pages[0].items() if name not in maps}
            batch.update(_means(pages, (SCORED,)))
            if not fed:
                fed = {name: _placeholder(array) for name, array in batch.items()}
                counts = counted(run, run.objective.logits(fed[SCORED]), fed)
            found = session.run(counts, {fed[name]: array for name, array in batch.items()})
            # Logits that are made of probabilities are finite whatever these are.
            yield {**found, "finite": np.isfinite(batch[SCORED]).all(axis=(1, 2, 3)), **maps}


@contextlib.contextmanager
def on_the_host() -> Iterator[tf.Session]:
    """A graph of its own, and its session, which no accelerator takes part in."""
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
        yield session


def _placeholder(array: np.ndarray) -> Any:
    """Of batches of any number and size; channels stay."""
    return tf.placeholder(array.dtype, [*[None] * min(array.ndim, 3), *array.shape[3:]])
