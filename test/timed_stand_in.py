"""Where score against minutes is measured: what stands in for main.py, and what it measures of a cell."""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmark.kit.processes import Ended
from benchmark.timed.cells import Cell, Subject
from utils.errors import UserError

MACHINE = {"processor": "Abacus", "cores": 2, "memory_gib": 24, "versions": {"TensorFlow": "2.15.1"}}
CELL = Cell("stare-fast", "", "0123", "stare", "data", "", None, 0, 4.0, "", "0123")
BEGUN = 1.0e9
STARE, SSTEM = Subject("stare-fast", "", {"dataset": "stare"}), Subject("sstem-fast", "", {"dataset": "sstem"})


def record(cell=CELL, score=0.8, minutes=4.5, **changes):
    """What was measured of a cell on the stand-in's machine."""
    found = {"case": cell._asdict(), "machine": MACHINE, "device": "cpu", "precision": "bfloat16", "steps": 300,
             "minutes": minutes, "points": [{"step": 100, "minutes": 2.0, "score": score - 0.1},
                                            {"step": 300, "minutes": minutes, "score": score}], "asked_points": 1,
             "score": "Dice_vessel", "scores": {"mDice": 0.9, "Dice_vessel": score, "AUC": None},
             "intervals": {"Dice_vessel": [score - 0.02, score + 0.04]}, "images": {}, "second_observer": None,
             "counts": {"training": 10}, "official_counts_hold": True, "load": 0.5, "date": "2026-01-02"}
    return {**found, **changes}


class Stand:
    """In place of main.py: three checkpoints, 60, 150 and 240 seconds after the beginning; a score is steps / 1000."""

    def __init__(self, failing=()):
        self.modes, self.words, self.failing = [], [], failing

    def __call__(self, words, around):
        given = dict(zip(words, words[1:]))
        self.words.append(list(words))
        self.modes.append(given["--exec_mode"])
        directory = Path(given["--model_dir"])
        folder = directory / "model_checkpoint"
        if given["--exec_mode"] == "train_and_evaluate":
            if given["--seed"] in self.failing:
                raise UserError("too short", "time", "give more")
            folder.mkdir(parents=True)
            (directory / "settings.json").write_text("{}")
            for step, seconds in ((100, 60), (200, 150), (300, 240)):
                for end in ("index", "complete"):
                    (folder / f"model.ckpt-{step}.{end}").write_text("")
                os.utime(str(folder / f"model.ckpt-{step}.complete"), (BEGUN, BEGUN + seconds))
        step = max(int(name.split("-")[1].split(".")[0]) for name in os.listdir(str(folder)))
        document = {"scores": {"mDice": 0.5, "Dice_vessel": step / 1000.0}, "second_observer": None,
                    "intervals": {"Dice_vessel": [0.1, 0.4]}, "counts": {"training": 10}, "official_counts_hold": True}
        (directory / "evaluation.json").write_text(json.dumps(document))
        (directory / "evaluation.csv").write_text("file,score\na,0.4\nb,0.6\n")
        return Ended(0, "something\ndevice: cpu, bfloat16, 1 process\n")
