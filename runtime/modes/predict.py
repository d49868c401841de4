"""Prediction: a mask and its probabilities for every test image, at the images' own size; verdicts on images."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

import numpy as np

from datasets.base import TEST
from runtime.assembly import Run
from runtime.checkpoints.lock import PREDICTION, locked
from runtime.diagnosis import not_finite_error
from runtime.modes.ensemble import Member, ahead, decided, predicted, told
from runtime.modes.evaluate import choose_threshold
from runtime.modes.output import UNFINISHED, is_unfinished, make_room
from runtime.modes.results import (
    AREAS,
    COMPONENTS,
    MASKS,
    OVERLAYS,
    PROBABILITIES,
    VERDICTS,
    Prediction,
    Results,
    result_paths,
)
from runtime.modes.say import say
from runtime.modes.stream import (
    LargeImage,
    forget_unfinished,
    note_unfinished,
    predict_large,
    require_same_prediction,
    scratch_of,
)
from runtime.settings.flags import words_of
from runtime.settings.tree import Settings
from utils.commands import Stopped, quoted
from utils.files import write_csv
from utils.progress import with_bar
from utils.regions import MOST_LISTED

FOLDER = "predictions"
NAMES = tuple(os.path.basename(path) for stacked in (True, False)
              for path in result_paths("", stacked, (MASKS, PROBABILITIES, OVERLAYS)))
NAMES += (AREAS, COMPONENTS, VERDICTS, UNFINISHED)
"""What predictions consist of."""


def predict(members: Sequence[Member]) -> Dict[str, Any]:
    """Write masks, probabilities (float32) and overlays of the test images as far as they are wanted, tables of areas
    and components, and verdicts.

    Of two classes these are 0 / 255 and the probability of the second; of more, numbers of classes in their colours and
    the probability of the class that was chosen. Of several members the mean of their probabilities decides.

    Each image is written while the next one is computed, so that two of them are in memory at most; the chief works
    alone.
    Predictions that are there already are moved to a numbered sibling. Images that are larger than memory come first,
    and a prediction of such that was interrupted goes on where it stopped.

    Returns:
        "files" written, "images" predicted, the first member's "step".

    Raises:
        UserError: the test images are missing, a prediction is not finite, or another process predicts into the same
            directory.
        Stopped: a signal ended it, perhaps within a large image; what is done of that is kept.
    """
    run, checkpoint = members[0]
    with contextlib.ExitStack() as held:
        place = run.settings.run.output or run.settings.run.model_dir
        run.distributed.on_chief(lambda: _enter(place, held))
        return _predict(members, choose_threshold(run, checkpoint))


def _enter(place: str, held: contextlib.ExitStack) -> None:
    # One within a run that was moved aside has gone with it.
    os.makedirs(place, exist_ok=True)
    held.enter_context(locked(place, PREDICTION))


def _predict(members: Sequence[Member], threshold: Optional[float]) -> Dict[str, Any]:
    run, checkpoint = members[0]
    folder = output_folder(run.settings)
    run.distributed.on_chief(lambda: _make_room(run, folder))
    say(run.distributed, _left_out(run))
    results = Results(folder, run.dataset, _kinds(run))
    files = list(results.paths)
    images = len(run.dataset.ids(TEST)) + len(run.dataset.large)
    if run.distributed.is_chief:
        with told(members), _telling_how_to_go_on(members):
            scores = _write(members, results, folder, threshold)
        if run.objective.judges_images:
            files.append(os.path.join(folder, VERDICTS))
            write_csv(files[-1], _verdicts(scores, 0.5 if threshold is None else threshold))
        forget_unfinished(folder)
    run.distributed.barrier()
    return {"files": files, "images": images, "step": checkpoint.step}


def output_folder(settings: Settings) -> str:
    """Where predictions go."""
    return settings.run.output or os.path.join(settings.run.model_dir, FOLDER)


def _make_room(run: Run, folder: str) -> None:
    """Move aside what is there. What is not finished is gone on with, unless it is moved aside on purpose."""
    if is_unfinished(folder) and not run.settings.run.overwrite:
        require_same_prediction(folder, run.dataset.large, _noted(run))
        say(run.distributed, [f"going on with the prediction in {folder}"])
    else:
        make_room(run, folder, NAMES)
    if run.dataset.large:
        note_unfinished(folder, _noted(run))


def _noted(run: Run) -> Dict[str, Any]:
    """What the files of a prediction depend on beside the network; of each large image its own ledger tells more."""
    return {"images": list(run.dataset.ids(TEST)), "large": [image.name for image in run.dataset.large],
            "kinds": _kinds(run)}


def _kinds(run: Run) -> List[str]:
    """What is written; overlays where there is an image to draw one of."""
    options = run.settings.prediction
    wanted = {MASKS: True, PROBABILITIES: options.save_probabilities,
              OVERLAYS: options.overlays and bool(run.dataset.ids(TEST))}
    return [kind for kind, is_wanted in wanted.items() if is_wanted]


def _left_out(run: Run) -> List[str]:
    """What is not made of images that are never in memory as a whole, a line."""
    if not run.dataset.large:
        return []
    return ["images from file to file: components are not counted" +
            ", overlays not drawn" * run.settings.prediction.overlays]


@contextlib.contextmanager
def _telling_how_to_go_on(members: Sequence[Member]) -> Iterator[None]:
    """A stop of the body tells the command that goes on, where there is something to go on with."""
    run = members[0].run
    try:
        yield
    except Stopped as stopped:
        if run.dataset.large:
            words = [word.format(ranks=run.distributed.place.size) for word in run.distributed.launcher]
            stopped.way_on = quoted([*words, *words_of(*(member.run.settings for member in members))])
        raise


def _write(members: Sequence[Member], results: Results, folder: str, threshold: Optional[float]) -> Dict[str, float]:
    """Write every image; the score of each by id, where images are judged."""
    run, scores = members[0].run, {}
    names = run.dataset.ids(TEST)
    # Its thread ends, and the session in it, when it is closed, whatever ends this.
    with results, contextlib.closing(ahead(lambda: predicted(members, TEST))) as pages:
        for large in run.dataset.large:
            place = LargeImage(large.path, large.page, large.size, results.large_paths(large.name),
                               scratch_of(folder, large.name))
            results.add_large(large.name, predict_large(members, place, threshold))
            if run.stop.requested is not None:  # noted while the last rows were written
                raise Stopped(run.stop.requested)
        for name, page in zip(names, with_bar(pages, "predict", chief=True, total=len(names), unit="image")):
            probabilities = page["probabilities"]
            if not np.isfinite(probabilities).all():
                raise not_finite_error(name)
            probability = probabilities[..., 1] if probabilities.shape[-1] == 2 else probabilities.max(axis=-1)
            results.add(Prediction(name, decided(page, threshold), probability))
            if "score" in page:
                scores[name] = float(page["score"])
    say(run.distributed, [f"{name}: {count} components are counted, but not among the {MOST_LISTED} largest of their "
                          f"class, which {COMPONENTS} lists" for name, count in results.unlisted.items()])
    return scores


def _verdicts(scores: Mapping[str, float], threshold: float) -> List[Dict[str, Any]]:
    return [{"file": name, "score": score, "defective": int(score > threshold), "threshold": threshold}
            for name, score in scores.items()]
