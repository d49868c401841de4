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
import subprocess
import sys
import time
from typing import List, NamedTuple, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

import numpy as np  # noqa: E402

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
  max_steps: 4
"""
NAMES = ("masks", "probabilities")


class Measure(NamedTuple):
    """Of a process: its exit code, seconds, seconds of processors, and MiB of memory at most."""

    code: int
    seconds: float
    processor_seconds: float
    memory: float


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


def measured(arguments: List[str], kill_after: float = 0.0) -> Measure:
    """Run the command; killed after some seconds where these are given."""
    begun = time.monotonic()
    process = subprocess.Popen([sys.executable, os.path.join(ROOT, "main.py"), *arguments], cwd=ROOT)
    if kill_after:
        try:
            process.wait(kill_after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    # The one way to the memory of this child alone.
    _, status, usage = os.wait4(process.pid, 0) if process.returncode is None else (0, process.returncode << 8, None)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    spent, memory = (usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024.0) if usage else (0.0, 0.0)
    return Measure(code, time.monotonic() - begun, spent, memory)


def train(out: str, window: int, stride: int) -> str:
    """The directory of a narrow run."""
    directory, recipe = os.path.join(out, "run"), os.path.join(out, "narrow.yaml")
    with open(recipe, "w", encoding="utf-8") as stream:
        stream.write(RECIPE.format(window=window, stride=stride))
    if not os.path.isdir(directory):
        found = measured(["--exec_mode", "train", "--recipe", recipe, "--data_dir", "phantom", "--device", "cpu",
                          "--model_dir", directory])
        if found.code:
            raise SystemExit(f"training ended with {found.code}")
    return directory


def predicting(run: str, image: str, output: str) -> List[str]:
    """The command."""
    return ["--exec_mode", "predict", "--model_dir", run, "--input", image, "--output", output, "--stream"]


def files_of(output: str, image: str) -> List[str]:
    """What was predicted of an image."""
    return [os.path.join(output, name, os.path.basename(image)) for name in NAMES]


def predict(run: str, out: str, side: int) -> Tuple[str, str]:
    """Make an image, predict it, tell what it took; its path, and where the prediction is."""
    image, output = os.path.join(out, f"{side}.tif"), os.path.join(out, f"predicted-{side}")
    if not os.path.exists(image):
        make_image(image, side)
    shutil.rmtree(output, ignore_errors=True)
    found, megapixels = measured(predicting(run, image, output)), side * side / 1e6
    if found.code:
        raise SystemExit(f"{side}: ended with {found.code}")
    size = sum(os.path.getsize(path) for path in files_of(output, image)) / 2 ** 20
    print(f"{side} x {side}: {megapixels:.0f} megapixels, {found.memory:.0f} MiB of memory at most, "
          f"{found.seconds:.0f} s, {found.seconds / megapixels:.2f} s a megapixel "
          f"({found.processor_seconds / megapixels:.2f} s of processors); {size:.0f} MiB written", flush=True)
    return image, output


def kill_and_compare(run: str, image: str, expected: str, kill_after: float) -> None:
    """Predict again, killed again and again, and compare."""
    output, kills = expected + "-killed", 0
    shutil.rmtree(output, ignore_errors=True)
    code = -signal.SIGKILL
    while code == -signal.SIGKILL:
        code = measured(predicting(run, image, output), kill_after * (1 + kills)).code
        kills += code == -signal.SIGKILL
    if code:
        raise SystemExit(f"ended with {code}")
    same = all(filecmp.cmp(*pair, shallow=False) for pair in zip(files_of(expected, image), files_of(output, image)))
    print(f"killed {kills} times: {'the same bytes' if same else 'OTHER BYTES'}", flush=True)
    if not same:
        raise SystemExit(1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="a directory for images, the run and predictions")
    parser.add_argument("--sides", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--window", type=int, default=256, help="pixels of a window's side")
    parser.add_argument("--stride", type=int, default=224, help="pixels from one window to the next")
    parser.add_argument("--kill", type=float, default=0.0, help="seconds until the first kill")
    flags = parser.parse_args()
    os.makedirs(flags.out, exist_ok=True)
    print(f"windows of {flags.window} pixels, {flags.stride} apart; {usable_cores()} cores "
          f"({processor_name()})", flush=True)
    run = train(flags.out, flags.window, flags.stride)
    for number, side in enumerate(flags.sides):
        image, output = predict(run, flags.out, side)
        if flags.kill and number == 0:
            kill_and_compare(run, image, output, flags.kill)


if __name__ == "__main__":
    main()
