"""What the prediction of images larger than memory takes: peak memory and time against the image's side.

    python benchmark/large_images.py --out runs/large --sides 4096 16384 32768

The network is as narrow as one can be (plain_unet with one filter, a few steps on the synthetic ssTEM set), so that the
time is the tiler's as far as it goes; its masks are worth nothing. Every image is made row of tiles by row of tiles,
and predicted by `main.py --exec_mode predict` in a process of its own, whose largest resident memory and time are told
as the system counts them. With --kill a further prediction of the first side is killed (SIGKILL) again and again and
repeated until it ends; its files must be, byte for byte, those of the one that nothing interrupted.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import signal
import sys
from typing import List, Optional, Sequence, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import numpy as np  # noqa: E402

from benchmark.kit import results  # noqa: E402
from benchmark.kit.processes import MAIN, Surroundings, carried_out, finished  # noqa: E402
from runtime.checkpoints.find import newest_sound  # noqa: E402
from utils.errors import UserError  # noqa: E402
from utils.files import write_text  # noqa: E402
from utils.processor import processor_name, usable_cores  # noqa: E402
from utils.pyramid import Form, PyramidWriter, mean_of_four  # noqa: E402

RECIPE = """
settings:
  model: plain_unet
  filters: 1
  feeding: native_crops
  crop_height: {window}
  crop_width: {window}
  window_stride: {stride}
  blending: gaussian
  global_batch_size: 4
  max_steps: {steps}
"""
STEPS = 4
NAMES = ("masks", "probabilities")


def make_image(path: str, side: int) -> None:
    """A tiled BigTIFF of grey blots, never in memory as a whole."""
    form, random = Form((side, side), np.dtype(np.uint8), mean_of_four), np.random.RandomState(0)
    with PyramidWriter(path + ".partial", form) as writer:
        for row in range(form.rows):
            coarse = random.randint(0, 256, [form.tile // 8, -(-side // 8)]).astype(np.uint8)
            fine = coarse.repeat(8, axis=0).repeat(8, axis=1)
            writer.append(fine[:min(form.tile, side - row * form.tile), :side])
        writer.finish()
    os.replace(path + ".partial", path)


def train(out: str, window: int, stride: int) -> str:
    """The directory of a narrow run, trained to its end.

    Raises:
        UserError: training failed.
    """
    directory = os.path.join(out, f"run-{window}-{stride}")
    trained = newest_sound(directory)
    if trained is None or trained.step < STEPS:
        shutil.rmtree(directory, ignore_errors=True)
        write_text(directory + ".yaml", RECIPE.format(window=window, stride=stride, steps=STEPS))
        finished([sys.executable, MAIN, "--exec_mode", "train", "--recipe", directory + ".yaml", "--data_dir",
                  "phantom", "--device", "cpu", "--model_dir", directory], Surroundings(path=directory + ".txt"))
    return directory


def predicting(run: str, image: str, output: str) -> List[str]:
    """The command."""
    return [sys.executable, MAIN, "--exec_mode", "predict", "--model_dir", run, "--input", image, "--output", output,
            "--stream"]


def files_of(output: str, image: str) -> List[str]:
    """What was predicted of an image."""
    return [os.path.join(output, name, os.path.basename(image)) for name in NAMES]


def predict(run: str, out: str, side: int) -> Tuple[str, str]:
    """Make an image, predict it, tell what it took; its path, and where the prediction is."""
    image, output = os.path.join(out, f"{side}.tif"), os.path.join(out, f"predicted-{side}")
    if not os.path.exists(image):
        make_image(image, side)
    shutil.rmtree(output, ignore_errors=True)
    found, megapixels = finished(predicting(run, image, output), Surroundings(path=output + ".txt")), side * side / 1e6
    size = sum(os.path.getsize(path) for path in files_of(output, image)) / 2 ** 20
    print(f"{side} x {side}: {megapixels:.0f} megapixels, {found.memory_mib:.0f} MiB of memory at most, "
          f"{found.seconds:.0f} s, {found.seconds / megapixels:.2f} s a megapixel "
          f"({found.processor_seconds / megapixels:.2f} s of processors); {size:.0f} MiB written", flush=True)
    return image, output


def kill_and_compare(run: str, image: str, expected: str, kill_after: float) -> None:
    """Predict again, killed again and again, and compare.

    Raises:
        UserError: it failed by itself, was never killed, or gave other bytes.
    """
    output, kills = expected + "-killed", 0
    shutil.rmtree(output, ignore_errors=True)
    while True:
        around = Surroundings(limit=kill_after * (1 + kills), path=output + ".txt")
        ended = carried_out(predicting(run, image, output), around)
        if ended.code != -signal.SIGKILL:
            break
        kills += 1
    if ended.code:
        raise UserError(f"{image}: exit code {ended.code} behind {kills} kills", "a prediction that goes on to its end",
                        f"see {around.path}")
    if not kills:
        raise UserError(f"--kill {kill_after:g}: the prediction was done in {ended.seconds:.1f} s",
                        "fewer seconds than it takes", "give fewer, or a larger first side")
    if not all(filecmp.cmp(*pair, shallow=False) for pair in zip(files_of(expected, image), files_of(output, image))):
        raise UserError(f"{output}: other bytes behind {kills} kills", f"those of {expected}", "mend the prediction")
    print(f"killed {kills} times: the same bytes", flush=True)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="a directory for images, the run and predictions")
    parser.add_argument("--sides", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--window", type=int, default=256, help="pixels of a window's side")
    parser.add_argument("--stride", type=int, default=224, help="pixels from one window to the next")
    parser.add_argument("--kill", type=float, default=0.0, help="seconds until the first kill")
    flags = parser.parse_args(arguments)
    return results.command(lambda: _measure(flags))


def _measure(flags: argparse.Namespace) -> None:
    results.require_positive(sides=min(flags.sides), window=flags.window, stride=flags.stride, kill=flags.kill or 1.0)
    out = os.path.abspath(flags.out)
    os.makedirs(out, exist_ok=True)
    print(f"windows of {flags.window} pixels, {flags.stride} apart; {usable_cores()} cores "
          f"({processor_name()})", flush=True)
    run = train(out, flags.window, flags.stride)
    for number, side in enumerate(flags.sides):
        image, output = predict(run, out, side)
        if flags.kill and number == 0:
            kill_and_compare(run, image, output, flags.kill)


if __name__ == "__main__":
    sys.exit(main())
