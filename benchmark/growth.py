"""How time and memory grow with the size of images, with the batch and with the number of images.

    python benchmark/growth.py
    python benchmark/growth.py --sizes 256 512 --batches --images 30 300

The network is small (plain_unet with four filters), so that what surrounds it shows. Every point is a process of
`main.py --benchmark` on data that are drawn for it: one image of the size named, 256 x 256 pixels where the batch
grows, or that many images of 64 x 64. Kernels' gradients are the library's own: measuring which way is the fastest
would fall into the start of some. Results are kept in --results, where a point that is there already is not
measured again; --plot and a table in --page are made from them. It ends with 1 where a point could not be measured.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from benchmark.kit import results  # noqa: E402
from benchmark.kit.processes import ask  # noqa: E402
from benchmark.kit.runs import Effort, benchmark, write_recipe  # noqa: E402
from utils.chart import chart  # noqa: E402
from utils.contracts import PLAIN  # noqa: E402
from utils.errors import UserError  # noqa: E402

SIZE, BATCH, IMAGES = "size", "batch", "images"
LABELS = {SIZE: "pixels of an image", BATCH: "images a step", IMAGES: "images of the data set"}
SECTION = "growth"
COLUMNS = ("what grows", "to", "mode", "ms a step", "growth", "MiB", "growth", "s before the steps", "growth")
NETWORK: Mapping[str, Any] = {"model": "plain_unet", "filters": 4, "feeding": "native_crops",
                              "image_normalisation": "symmetric"}
SMALL, USUAL = 64, 256
"""Height and width of images in pixels: where there are many of them, and where the batch grows."""
_FIGURES = (("step_ms", "ms a step"), ("memory_mib", "MiB"), ("start_seconds", "s before the measured steps"))
_MULTIPLE = 16  # pixels that the network takes


class Case(NamedTuple):
    """A point.

    Attributes:
        grows: "size", "batch" or "images".
        value: height and width in pixels, images a step, or images of the data set.
        mode: "train" or "predict".
    """

    grows: str
    value: int
    mode: str

    def __str__(self) -> str:
        return f"{self.mode}, {self.grows} {self.value}"

    @property
    def amount(self) -> int:
        """What time may be in proportion to."""
        return self.value ** 2 if self.grows == SIZE else self.value


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Measure what is asked for and not there yet, draw, and write the table."""
    flags = _parser().parse_args(arguments)
    return results.command(lambda: _measure(flags))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n", maxsplit=1)[0])
    parser.add_argument("--sizes", nargs="*", type=int, default=[256, 512, 1024, 2048], help="multiples of 16 pixels")
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--images", nargs="*", type=int, default=[30, 300, 3000, 10000])
    parser.add_argument("--steps", type=int, default=6, help="measured steps of a process (default: 6)")
    parser.add_argument("--warmup_steps", type=int, default=3, help="steps before them (default: 3)")
    parser.add_argument("--plot", default=os.path.join(ROOT, "docs", "growth.png"))
    results.add_flags(parser, "growth.json")
    return parser


def _measure(flags: argparse.Namespace) -> List[str]:
    points = cases(flags.sizes, flags.batches, flags.images)
    results.require_positive(steps=flags.steps, warmup_steps=flags.warmup_steps)
    book = results.Book(flags.results, Case, ask("kit.machine", {"modules": {}}, flags.limit, {}))
    with tempfile.TemporaryDirectory(prefix="growth-") as scratch:
        failures = results.measure_all(
            points, book, lambda case: measured(case, flags, scratch), lambda record: print(_said(record), flush=True),
            lambda record: not flags.again and record["steps"] >= flags.steps, flags.minutes)
    here = [each for each in book.records() if results.described(each["machine"]) == results.described(book.machine)]
    if here:
        draw(here, flags.plot)
        results.write_section(flags.page, SECTION, page(here, os.path.relpath(flags.plot, os.path.dirname(flags.page))))
    return failures


def cases(sizes: Sequence[int], batches: Sequence[int], images: Sequence[int]) -> List[Case]:
    """The points, in ascending order; prediction is measured against the size alone: the rest does not concern it.

    Raises:
        UserError: a number is not above 0, or a size that the network does not take.
    """
    results.require_positive(sizes=min(sizes, default=1), batches=min(batches, default=1),
                             images=min(images, default=1))
    for size in sizes:
        if size % _MULTIPLE:
            raise UserError(f"--sizes {size}", f"a multiple of {_MULTIPLE}", "round it")
    return [*(Case(SIZE, size, mode) for mode in ("train", "predict") for size in sorted(set(sizes))),
            *(Case(BATCH, batch, "train") for batch in sorted(set(batches))),
            *(Case(IMAGES, count, "train") for count in sorted(set(images)))]


def measured(case: Case, flags: argparse.Namespace, scratch: str) -> Dict[str, Any]:
    """Draw the data, and measure; raises as `benchmark`."""
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        side = {SIZE: case.value, BATCH: USUAL, IMAGES: SMALL}[case.grows]
        write_images(directory, case.value if case.grows == IMAGES else 1, side)
        recipe = write_recipe(directory, {
            **NETWORK, "dataset": "folder", "crop_height": side, "crop_width": side, "window_stride": side,
            "batch_size": case.value if case.grows == BATCH else 1})
        found = benchmark(["--exec_mode", case.mode, "--recipe", recipe, "--data_dir", directory,
                           "--kernel_gradient", PLAIN],
                          Effort(flags.warmup_steps, flags.steps, flags.limit))
    name = "train" if case.mode == "train" else "test"
    return {"steps": flags.steps, "warmup_steps": flags.warmup_steps, "step_ms": found[f"latency_{name}_50"],
            "memory_mib": found["peak_memory_mib"],
            "start_seconds": found["seconds"] - flags.steps * found[f"latency_{name}_mean"] / 1000.0}


def write_images(directory: str, count: int, side: int) -> None:
    """Images of grain with a brighter square each, PNGs of 8 bits, in `images/`, `masks/` and one in `test/images/`."""
    from PIL import Image

    random, cells = np.random.RandomState(0), max(side // 4, 1)
    for folder in ("images", "masks", os.path.join("test", "images")):
        os.makedirs(os.path.join(directory, folder))
    for number in range(count):
        image, mask = random.randint(0, 128, (side, side)).astype(np.uint8), np.zeros((side, side), np.uint8)
        row, column = random.randint(0, side - cells + 1, 2)
        square = (slice(row, row + cells), slice(column, column + cells))
        image[square] += 64
        mask[square] = 255
        places = {"images": image, "masks": mask, **({os.path.join("test", "images"): image} if not number else {})}
        for folder, pixels in places.items():
            Image.fromarray(pixels).save(os.path.join(directory, folder, f"{number:06}.png"), compress_level=1)


def growths(records: Sequence[results.Record], figure: str) -> List[Optional[float]]:
    """By which exponent a figure has grown from one record of a curve to the next: 1 is linear, 0 flat.

    None for the first.
    """
    found: List[Optional[float]] = [None]
    for before, after in zip(records, records[1:]):
        amounts = [Case(**each["case"]).amount for each in (before, after)]
        found.append(math.log(after[figure] / before[figure]) / math.log(amounts[1] / amounts[0]))
    return found


def curves(records: Sequence[results.Record]) -> Dict[Tuple[str, str], List[results.Record]]:
    """Records by what grows and the mode, each in ascending order."""
    found: Dict[Tuple[str, str], List[results.Record]] = {}
    for grows in LABELS:
        for mode in ("train", "predict"):
            own = [each for each in records if (each["case"]["grows"], each["case"]["mode"]) == (grows, mode)]
            if own:
                found[grows, mode] = sorted(own, key=lambda each: each["case"]["value"])
    return found


def draw(records: Sequence[results.Record], path: str) -> None:
    """A picture of the records: a column for each thing that grows, a row for each figure."""
    with chart(path, (12.0, 9.0), dpi=80, layout="constrained") as figure:
        axes = figure.subplots(len(_FIGURES), len(LABELS), sharex="col", squeeze=False)
        for (grows, mode), own in curves(records).items():
            column = list(LABELS).index(grows)
            amounts = [Case(**each["case"]).amount for each in own]
            for axis, (name, label) in zip(axes[:, column], _FIGURES):
                axis.loglog(amounts, [each[name] for each in own], marker="o", label=mode)
                axis.set_ylabel(label)
                axis.grid(True, which="both", alpha=0.3)
                axis.legend()
            axes[-1, column].set_xlabel(LABELS[grows])


def page(records: Sequence[results.Record], picture: str) -> str:
    """The picture and the table of records of one machine."""
    (lines, _), = results.by_machine(records, results.effort)
    table = results.head(COLUMNS, 3)
    for (grows, mode), own in curves(records).items():
        slopes = [growths(own, name) for name, _ in _FIGURES]
        for place, each in enumerate(own):
            cells = [LABELS[grows], _amount(Case(**each["case"])), mode]
            for (name, _), slope in zip(_FIGURES, slopes):
                grown = slope[place]
                cells += [f"{each[name]:.4g}", "" if grown is None else f"{grown:.2f}"]
            table.append(results.row(cells))
    return "\n".join([lines, "", f"![Time and memory against what grows]({picture})", "", *table])


def _amount(case: Case) -> str:
    return f"{case.value} x {case.value}" if case.grows == SIZE else str(case.value)


def _said(record: results.Record) -> str:
    return f"{Case(**record['case'])}: " + ", ".join(f"{record[name]:.4g} {label}" for name, label in _FIGURES)


if __name__ == "__main__":
    sys.exit(main())
