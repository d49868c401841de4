"""Draws what a run does: a training slice beside its label, a test slice beside the predicted mask.

    python download_dataset.py --phantom --data_dir phantom-data
    python docs/picture.py phantom-data runs/run_1 docs/phantom.png

The run is one that has predicted (`--exec_mode predict`).
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import List

import numpy as np
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from utils.tiff import read_page

GAP = 8


def main() -> None:
    """Write the picture that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir")
    parser.add_argument("model_dir")
    parser.add_argument("output")
    parser.add_argument("--page", type=int, default=3)
    flags = parser.parse_args()
    paths = [os.path.join(flags.data_dir, name) for name in ("train-volume.tif", "train-labels.tif", "test-volume.tif")]
    paths.append(os.path.join(flags.model_dir, "predictions", "test-masks.tif"))
    side_by_side([read_page(path, flags.page) for path in paths]).save(flags.output, optimize=True)


def side_by_side(pages: List[np.ndarray]) -> Image.Image:
    """The pages (uint8, one size) in a row at half size, with white between them."""
    height = pages[0].shape[0]
    gap = np.full((height, GAP), 255, np.uint8)
    row = np.hstack([part for page in pages for part in (page, gap)][:-1])
    picture = Image.fromarray(row)
    return picture.resize((picture.width // 2, picture.height // 2), Image.LANCZOS)


if __name__ == "__main__":
    main()
