"""The result file of a training script, computed from the run's JSON log.

    python test/result_file.py {acc,perf} --log LOG.json --output DIRECTORY --seconds WALL_TIME

Writes `<case>.log`, lines `Key = value`, and `train_<case>_loss.txt`, the loss of every record. It ends with 2 where a
value is missing, and writes nothing then. Keys and names of files are those of the scripts of Ascend's model zoo; what
they mean here stands in docs/ascend.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from typing import Any, Dict, List, Optional, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

from dllogger.logger import JSON_PREFIX  # noqa: E402
from utils.commands import exit_code  # noqa: E402
from utils.errors import UserError  # noqa: E402
from utils.files import write_text  # noqa: E402

ACCURACY, PERFORMANCE = "acc", "perf"
LOSS, THROUGHPUT = "train_total_loss", "throughput_train"
LEVEL = "parameters_L"
"""What the records of pruning levels begin with."""
SHOWN = {"ActualFPS": "Final Performance images/sec", "TrainAccuracy": "Final Train Accuracy",
         "E2ETrainingTime": "E2E Training Duration sec"}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Write the files, and print what a person looks for."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("kind", choices=(ACCURACY, PERFORMANCE))
    parser.add_argument("--log", required=True, help="log.json of the run")
    parser.add_argument("--output", required=True, help="directory of the files")
    parser.add_argument("--seconds", type=float, required=True, help="wall time of the whole command")
    flags = parser.parse_args(arguments)
    return exit_code(lambda: _write(flags.kind, Log(flags.log), flags.output, flags.seconds), debug=False)


class Log:
    """The records of the last run in a JSON log.

    Args:
        path: the log.

    Raises:
        UserError: it is not there, or no run is in it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        if not os.path.exists(path):
            raise self.lacks("the log itself")
        records = _records(path)
        starts = [place for place, record in enumerate(records) if record["step"] == "PARAMETER"]
        if not starts:
            raise self.lacks("the settings of a run")
        self.settings: Dict[str, Any] = records[starts[-1]]["data"]
        self._records = records[starts[-1] + 1:]

    def lacks(self, what: str) -> UserError:
        """The error that a value is missing."""
        return UserError(f"{self.path}: {what} is missing", "the log of a run that reached its end",
                         "look for the reason in the train_*.log beside it, and train again")

    @property
    def losses(self) -> List[float]:
        """The loss of every record of training."""
        return [float(record["data"][LOSS]) for record in self._training]

    @property
    def measured_images_per_second(self) -> float:
        """What a benchmark measured.

        Raises:
            UserError: there was none.
        """
        measured = [record["data"][THROUGHPUT] for record in self._summaries if THROUGHPUT in record["data"]]
        if not measured:
            raise self.lacks("the throughput of a benchmark")
        return float(measured[-1])

    @property
    def images_per_second(self) -> float:
        """From the first record of training to the last, everything between them included.

        Raises:
            UserError: there are not two records.
        """
        training = self._training
        if len(training) < 2:
            raise self.lacks("a second record of training")
        first, last = training[0], training[-1]
        images = (last["step"][0] - first["step"][0]) * self.settings["global_batch_size"]
        return images / (float(last["elapsedtime"]) - float(first["elapsedtime"]))

    @property
    def headline(self) -> float:
        """The first of the scores, which is the one that the run's recipe is judged by.

        Raises:
            UserError: nothing was evaluated, or the score is not defined.
        """
        scores = [record["data"] for record in self._summaries
                  if THROUGHPUT not in record["data"] and not next(iter(record["data"])).startswith(LEVEL)]
        if not scores:
            raise self.lacks("an evaluation")
        name, value = next(iter(scores[-1].items()))
        if value is None:
            raise self.lacks(f"a defined {name}")
        return float(value)

    @property
    def _training(self) -> List[Dict[str, Any]]:
        return [record for record in self._records if LOSS in record["data"]]

    @property
    def _summaries(self) -> List[Dict[str, Any]]:
        return [record for record in self._records if record["step"] == [] and record["data"]]


def result(kind: str, log: Log, seconds: float) -> Dict[str, Any]:
    """The values of the result file by their keys, in its order.

    Raises:
        UserError: one is missing, or is no finite number.
    """
    batch, images = log.settings["batch_size"], log.settings["global_batch_size"]
    network, ranks = _network(log.settings), images // batch
    rate = log.images_per_second if kind == ACCURACY else log.measured_images_per_second
    if not log.losses:
        raise log.lacks("the loss")
    numbers = {"ActualFPS": rate, "TrainAccuracy": log.headline if kind == ACCURACY else None,
               "TrainingTime": 1000 * images / rate, "ActualLoss": log.losses[-1], "E2ETrainingTime": seconds}
    for name, value in numbers.items():
        if value is not None and not math.isfinite(value):
            raise log.lacks(f"a finite {name}")
    return {"Network": network, "RankSize": ranks, "BatchSize": batch, "DeviceType": platform.machine(),
            "Device": log.settings["device"], "CaseName": f"{network}_bs{batch}_{ranks}p_{kind}",
            **{name: f"{value:.6g}" for name, value in numbers.items() if value is not None}}


def _write(kind: str, log: Log, output: str, seconds: float) -> None:
    values = result(kind, log, seconds)
    case = values["CaseName"]
    write_text(os.path.join(output, f"train_{case}_loss.txt"), "".join(f"{loss:.6g}\n" for loss in log.losses))
    path = os.path.join(output, f"{case}.log")
    write_text(path, "".join(f"{name} = {value}\n" for name, value in values.items()))
    for name, words in SHOWN.items():
        if name in values:
            print(f"{words} : {values[name]}")
    print(f"result file: {path}")


def _network(settings: Dict[str, Any]) -> str:
    """The recipe's name, also of a recipe of one's own; the network's without a recipe."""
    recipe = settings["recipe"]
    return os.path.splitext(os.path.basename(recipe))[0] if recipe else str(settings["model"])


def _records(path: str) -> List[Dict[str, Any]]:
    with open(path, encoding="utf-8") as stream:
        lines = [line[len(JSON_PREFIX):] for line in stream if line.startswith(JSON_PREFIX) and line.endswith("\n")]
    return [record for record in map(json.loads, lines) if record["type"] == "LOG"]


if __name__ == "__main__":
    sys.exit(main())
