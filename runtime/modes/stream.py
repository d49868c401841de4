"""Prediction of an image larger than memory, from file to file, which goes on where it was stopped or killed.

Windows are read band by band (`utils.bands`), and masks and probabilities are written row of tiles by row of tiles
(`utils.pyramid`); what a row of tiles took is noted in a ledger once it is on the disk. Going on computes again the
bands that touch the first row of tiles that is missing, in the same batches, and so ends up with the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.base import Large
from datasets.findings import misplaced
from datasets.folder_images import Picture
from datasets.tally import Spans
from runtime.assembly import Run
from runtime.checkpoints.find import checkpoint_directory
from runtime.checkpoints.mark import fingerprint, mark_path
from runtime.diagnosis import not_finite_error
from runtime.model_fn import INSIDE, LOGITS, window_fn
from runtime.modes.ensemble import Member, Pages, averaged, on_the_host
from runtime.modes.output import UNFINISHED
from runtime.modes.say import say
from runtime.settings.tree import fields
from utils.bands import Cover, RunningMean, Window, windows_of
from utils.commands import Stopped
from utils.contracts import Tensor
from utils.errors import UserError
from utils.files import fsync_path, read_json, write_json
from utils.ledger import Ledger, subject_of
from utils.options import INVOCATION
from utils.progress import with_bar
from utils.pyramid import TILE, Form, PyramidWriter, mean_of_four, most_of_four
from utils.tiff_parts import opened_page

STRIP = 16
"""Rows whose probabilities are in memory at a time; a part of every tile."""
_CLASSES, _PROBABILITY = "masks", "probabilities"
_LEDGER, _NOTE = "ledger.jsonl", "prediction.json"
_FORMAT = 1


class LargeImage(NamedTuple):
    """A page of a TIFF, and what is predicted of it.

    Attributes:
        path: of the file.
        page: from 0.
        size: (height, width) in pixels.
        targets: where masks, and probabilities where they are wanted, go, by kind.
        scratch: a directory for what is not finished.
        watch: is shown the pixels that are read, of no palette, as they stand in the file.
    """

    path: str
    page: int
    size: Tuple[int, int]
    targets: Mapping[str, str]
    scratch: str
    watch: Callable[[np.ndarray], None] = lambda pixels: None


def scratch_of(folder: str, name: str) -> str:
    """Where what is not finished of an image lies: names may be longer than that of one folder can be."""
    return os.path.join(folder, UNFINISHED, hashlib.sha256(os.fsencode(name)).hexdigest()[:16])


def note_unfinished(folder: str, prediction: Mapping[str, Any]) -> None:
    """Write down what a prediction into `folder` is of, for the command that goes on with it."""
    os.makedirs(os.path.join(folder, UNFINISHED), exist_ok=True)
    write_json(os.path.join(folder, UNFINISHED, _NOTE), prediction)


def require_same_prediction(folder: str, images: Sequence[Large], prediction: Mapping[str, Any]) -> None:
    """Make sure that what is not finished in `folder` is of no other images, large or small, and of no other files.

    Args:
        folder: where it is.
        images: the large ones of this command.
        prediction: what this command would note.

    Raises:
        UserError: it is; the text names an image.
    """
    _require_same_images(folder, images)
    path = os.path.join(folder, UNFINISHED, _NOTE)
    if os.path.exists(path) and read_json(path) != prediction:
        raise UserError(f"{folder} holds an unfinished prediction of other images, or with other flags",
                        "what it was begun with", "repeat the command that began it, use another --output, or add "
                        "--overwrite, which moves it aside")


def _require_same_images(folder: str, images: Sequence[Large]) -> None:
    known = {_NOTE, *(os.path.basename(scratch_of(folder, image.name)) for image in images)}
    for name in sorted(os.listdir(os.path.join(folder, UNFINISHED))):
        if name not in known and not name.startswith("."):  # such is what a kill leaves of a note
            subject = subject_of(os.path.join(folder, UNFINISHED, name, _LEDGER))
            what = f"{subject['image']}, page {subject['page']}" if subject else "an image"
            raise UserError(f"{folder} holds an unfinished prediction of {what}, which --input does not name",
                            "the images that it was begun with", "repeat the command that began it, use another "
                            "--output, or add --overwrite, which moves it aside")


def forget_unfinished(folder: str) -> None:
    """Remove what was kept to go on with; whoever is killed meanwhile has finished all the same."""
    kept, gone = os.path.join(folder, UNFINISHED), os.path.join(folder, f".{UNFINISHED}-gone")
    shutil.rmtree(gone, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.replace(kept, gone)
    shutil.rmtree(gone, ignore_errors=True)


def predict_large(members: Sequence[Member], image: LargeImage, threshold: Optional[float],
                  tile: int = TILE) -> np.ndarray:
    """Write the mask, and the probability, of every pixel, as tiled BigTIFFs with smaller copies of themselves.

    Masks and probabilities are those of `runtime.modes.predict`. Of several members the mean of their probabilities
    decides. Memory is that of a band of windows and of a row of tiles. A line tells where the pixels turn out not to be
    on the runs' scale.

    Args:
        members: runs, with their checkpoints.
        image: which, and where to.
        threshold: of the second of two classes; None where the likelier class counts.
        tile: pixels of a tile's side in what is written.

    Returns:
        Pixels of each class, int64 [classes].

    Raises:
        UserError: the image cannot be read, the run does not predict in windows, a prediction is not finite, or what
            is not finished is of another prediction.
        Stopped: a signal asked for it; what is done is kept, and the same call goes on with it.
    """
    for member in members:
        member.run.feeding.streamed()
    forms = _forms(members[0].run, image, tile)
    ledger = _ledger(image, _subject(members, image, threshold, tile))
    if any(not os.path.exists(_partial(image, kind)) and not os.path.exists(image.targets[kind]) for kind in forms):
        ledger.begin_anew()
    try:
        _complete(members, image, threshold, forms, ledger)
    except _LostError:
        ledger.begin_anew()
        _complete(members, image, threshold, forms, ledger)
    say(members[0].run.distributed, _off_scale(members[0].run, image, ledger.entries[-1]))
    return np.array(ledger.entries[-1]["pixels"], np.int64)


class _Ends:
    """The type of the pixels that were read, the smallest number of one and the largest.

    Args:
        entries: of a ledger, whose last one has them as far as a prediction had got before.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        self.known = entries[-1].get("ends") if entries else None

    def add(self, pixels: np.ndarray) -> None:
        """See `LargeImage.watch`."""
        _, low, high = self.known or ("", math.inf, -math.inf)
        self.known = [str(pixels.dtype), min(low, float(pixels.min())), max(high, float(pixels.max()))]


def _off_scale(run: Run, image: LargeImage, entry: Mapping[str, Any]) -> List[str]:
    """What is wrong with the scale of an image, a line each, by the last entry of its ledger."""
    ends, spans = entry.get("ends"), Spans()
    if ends is None:
        return []
    spans.add(image.path, *ends[1:])
    return [f"warning: {image.path}, page {image.page}{found}"
            for found, _, _ in misplaced(spans, ends[0], run.dataset.pixel_rule.bounds)]


class _LostError(Exception):
    """What the ledger says was written is not there."""


def _ledger(image: LargeImage, subject: Mapping[str, Any]) -> Ledger:
    try:
        return Ledger(os.path.join(image.scratch, _LEDGER), subject)
    except ValueError as error:
        raise UserError(f"{image.scratch}: an unfinished prediction of {image.path} with another checkpoint, other "
                        "settings, or before the image changed", "what it was begun with",
                        "repeat the command that began it, or add --overwrite, which moves it aside") from error


def _forms(run: Run, image: LargeImage, tile: int) -> Dict[str, Form]:
    forms = {_CLASSES: Form(image.size, np.dtype(np.uint8), most_of_four, run.dataset.spec.palette, tile),
             _PROBABILITY: Form(image.size, np.dtype(np.float32), mean_of_four, (), tile)}
    return {kind: forms[kind] for kind in image.targets}


def _subject(members: Sequence[Member], image: LargeImage, threshold: Optional[float], tile: int) -> Dict[str, Any]:
    """All that decides the bytes that are written."""
    status = os.stat(image.path)
    lasting = [field for field in fields() if field.option.kind != INVOCATION]
    runs = [{"checkpoint": fingerprint(mark_path(checkpoint.path))[1], "precision": run.device.precision,
             **{field.name: getattr(getattr(run.settings, field.group), field.name) for field in lasting}}
            for run, checkpoint in members]
    return {"format": _FORMAT, "image": os.path.abspath(image.path), "page": image.page, "bytes": status.st_size,
            "modified": status.st_mtime_ns, "targets": sorted(image.targets), "threshold": threshold, "tile": tile,
            "runs": runs}


def _lengths(ledger: Ledger, kind: str) -> List[List[int]]:
    return [entry["lengths"][kind] for entry in ledger.entries]


def _partial(image: LargeImage, kind: str) -> str:
    return os.path.join(image.scratch, f"{kind}.tif")


def _complete(members: Sequence[Member], image: LargeImage, threshold: Optional[float], forms: Mapping[str, Form],
              ledger: Ledger) -> None:
    """Write the rows that are missing, and put every file in its place."""
    if len(ledger.entries) < forms[_CLASSES].rows:
        _write_rows(members, image, threshold, forms, ledger)
    for kind, form in forms.items():
        _finish(_partial(image, kind), image.targets[kind], form, _lengths(ledger, kind))


def _write_rows(members: Sequence[Member], image: LargeImage, threshold: Optional[float], forms: Mapping[str, Form],
                ledger: Ledger) -> None:
    run, form, ends = members[0].run, forms[_CLASSES], _Ends(ledger.entries)
    image = image._replace(watch=ends.add)
    row = len(ledger.entries) * form.tile
    pixels = np.array(ledger.entries[-1]["pixels"] if ledger.entries else [0] * run.dataset.spec.classes, np.int64)
    with contextlib.ExitStack() as held:
        writers = {kind: held.enter_context(_writer(_partial(image, kind), form, _lengths(ledger, kind)))
                   for kind, form in forms.items()}
        held.enter_context(run.stop.deferred())
        strips = _closed(held, averaged(members, lambda each: _strips(each, image, row)))
        rows = _tile_rows(strips, form, row, threshold)
        for part in with_bar(rows, "predict", chief=True, unit="row of tiles"):
            if not np.isfinite(part[_PROBABILITY]).all():
                raise not_finite_error(f"{image.path}, page {image.page}")
            for classes in part[_CLASSES]:
                pixels += np.bincount(classes, minlength=len(pixels))
            shown = dict(part, masks=part[_CLASSES] if form.palette else part[_CLASSES] * np.uint8(255))
            lengths = {kind: writer.append(shown[kind]) for kind, writer in writers.items()}
            ledger.note({"lengths": lengths, "pixels": pixels.tolist(), "ends": ends.known})
            if run.stop.requested is not None and len(ledger.entries) < form.rows:
                raise Stopped(run.stop.requested)


def _writer(path: str, form: Form, lengths: Sequence[Sequence[int]]) -> PyramidWriter:
    try:
        return PyramidWriter(path, form, lengths)
    except (ValueError, FileNotFoundError) as error:
        raise _LostError from error


def _finish(partial: str, target: str, form: Form, lengths: Sequence[Sequence[int]]) -> None:
    """Make a file of which all rows are there whole, and put it in its place; one that lies there already stays."""
    if not os.path.exists(partial):
        return
    with _writer(partial, form, lengths) as writer:
        writer.finish()
    folder = os.path.dirname(os.path.abspath(target))
    os.makedirs(folder, exist_ok=True)
    os.replace(partial, target)
    fsync_path(folder)


# From windows to rows of tiles ---------------------------------------------------------------------------------------

def _tile_rows(strips: Iterator[Mapping[str, np.ndarray]], form: Form, row: int,
               threshold: Optional[float]) -> Iterator[Dict[str, np.ndarray]]:
    """Classes and one probability of each row of tiles from `row` on; valid until the next one is asked for."""
    size = [form.tile, form.size[1]]
    whole: Dict[str, Any] = {_CLASSES: np.empty(size, np.uint8), _PROBABILITY: np.empty(size, np.float32)}
    for top in range(row, form.size[0], form.tile):
        height = min(form.tile, form.size[0] - top)
        part = {kind: array[:height] for kind, array in whole.items()}
        for first in range(0, height, STRIP):
            strip = next(strips)
            probabilities, place = strip["probabilities"], slice(first, min(first + STRIP, height))
            two = probabilities.shape[-1] == 2
            probability = probabilities[..., 1] if two else probabilities.max(axis=-1)
            part[_PROBABILITY][place] = probability
            part[_CLASSES][place] = strip["classes"] if threshold is None else probability > threshold
        yield part


def _strips(member: Member, image: LargeImage, row: int) -> Pages:
    """What a member predicts from `row` on: "probabilities" float32 [rows, width, classes] and "classes" uint8, of
    `STRIP` rows at a time.
    """
    cover = Cover(image.size, member.run.feeding.streamed())
    mean, first = RunningMean(cover, member.run.objective.channels, row), cover.first_band(row)
    columns, kept = len(cover.lefts), np.zeros([0, image.size[1], member.run.objective.channels], np.float32)
    with contextlib.ExitStack() as held:
        probable = held.enter_context(_probable(member.run))
        found = _closed(held, _window_logits(member, cover, image, row))
        for _ in cover.tops[first:]:
            begun, rows = mean.row, np.zeros([0])
            for column, logits in zip(range(columns + _filling(member.run, columns)), found):
                final = mean.add(logits) if column < columns else None
                rows = rows if final is None else final[max(row - begun, 0):]
            # They are few at a time, and never copied as a whole.
            while len(kept) + len(rows) >= STRIP or (mean.row >= image.size[0] and len(kept) + len(rows)):
                missing = STRIP - len(kept)
                yield probable(np.concatenate([kept, rows[:missing]]))
                kept, rows = kept[:0], rows[missing:]
            kept = np.concatenate([kept, rows])


def _closed(held: contextlib.ExitStack, stream: Iterator[Any]) -> Iterator[Any]:
    """A generator that is closed with `held`."""
    held.callback(stream.close)  # type: ignore[attr-defined]
    return stream


def _batch(run: Run) -> int:
    return run.settings.training.batch_size


def _filling(run: Run, columns: int) -> int:
    """Windows that fill the last batch of a band: no batch is part of two, and all have one size."""
    return -columns % _batch(run)


def _window_logits(member: Member, cover: Cover, image: LargeImage, row: int) -> Iterator[np.ndarray]:
    """Logits of each window, and of those that fill batches, float32 [inner height, inner width, channels]."""
    run = member.run
    spec, size = run.dataset.spec, cover.windows.size
    types = {"image": tf.as_dtype(spec.image_dtype), INSIDE: tf.int32}
    shapes = {"image": [*size, spec.channels], INSIDE: [2]}

    def batches() -> tf.data.Dataset:
        read = _images(run, cover, image, row)
        return tf.data.Dataset.from_generator(read, types, shapes).batch(_batch(run), drop_remainder=True).prefetch(2)

    estimator = run.device.estimator(window_fn(run), checkpoint_directory(run.settings.run.model_dir),
                                     run.settings.training.seed)
    predictions = estimator.predict(batches, checkpoint_path=member.checkpoint.path)
    return (prediction[LOGITS] for prediction in predictions)


def _images(run: Run, cover: Cover, image: LargeImage, row: int) -> Callable[[], Iterator[Dict[str, np.ndarray]]]:
    """What makes the features of each window; a `UserError` on the way is kept for whoever waits for them."""
    rule, where, columns = run.dataset.pixel_rule, f"{image.path}, page {image.page}", len(cover.lefts)

    def features(window: Window, palette: Optional[np.ndarray]) -> Dict[str, np.ndarray]:
        pixels = rule.image(where, Picture(window.pixels, palette))
        return {"image": pixels, INSIDE: np.array(window.inside, np.int32)}

    def generate() -> Iterator[Dict[str, np.ndarray]]:
        with opened_page(image.path, image.page) as page:
            windows = windows_of(cover, lambda first, count: page.read(first, 0, count, page.size[1]), row)
            for number, window in enumerate(windows):
                found = features(window, page.palette)
                if page.palette is None:
                    image.watch(window.pixels)
                last = (number + 1) % columns == 0
                yield from [found] * (1 + last * _filling(run, columns))

    def told() -> Iterator[Dict[str, np.ndarray]]:
        own = generate()
        following = run.faults.keeping(lambda: next(own, None))
        return iter(following, None)

    return told


@contextlib.contextmanager
def _probable(run: Run) -> Iterator[Callable[[np.ndarray], Dict[str, np.ndarray]]]:
    """A function from logits [rows, width, channels] to "probabilities" and "classes", computed by the host."""
    with on_the_host() as session:
        logits: Tensor = tf.placeholder(tf.float32, [1, None, None, run.objective.channels])
        probabilities = run.objective.probabilities(logits)
        classes = tf.cast(tf.argmax(probabilities, -1, output_type=tf.int32), tf.uint8)
        wanted = {"probabilities": probabilities[0], "classes": classes[0]}
        yield lambda rows: session.run(wanted, {logits: rows[np.newaxis]})
