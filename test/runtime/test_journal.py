"""A log that cannot be written for a while."""

from __future__ import annotations

import json

import pytest

from dllogger.logger import Backend, JSONStreamBackend, Logger, Verbosity
from runtime.journal import Patient


class Disk(Backend):
    """Takes records unless it is full."""

    def __init__(self):
        super().__init__(Verbosity.VERBOSE)
        self.full = False
        self.steps = []
        self.closed = False

    def log(self, timestamp, elapsedtime, step, data):
        if self.full:
            raise OSError(28, "No space left on device")
        self.steps.append(step)

    def metadata(self, timestamp, elapsedtime, metric, metadata):
        self.log(timestamp, elapsedtime, metric, metadata)

    def flush(self):
        if self.full:
            raise OSError(28, "No space left on device")

    def close(self):
        self.closed = True


def test_records_wait_in_their_order_until_there_is_space(capsys):
    disk = Disk()
    logger = Logger([Patient(disk, "log.json")])
    logger.log(1, {})
    disk.full = True
    logger.log(2, {})
    logger.metadata("dice", {})
    logger.flush()
    logger.log(3, {})
    assert disk.steps == [1]
    disk.full = False
    logger.log(4, {})
    logger.close()
    assert disk.steps == [1, 2, "dice", 3, 4]
    assert disk.closed
    output = capsys.readouterr().out
    assert output.count("going on, and trying again") == 1
    assert "lacks" not in output


def test_records_that_are_lost_in_the_end_are_counted(capsys):
    disk = Disk()
    logger = Logger([Patient(disk, "log.json")])
    disk.full = True
    logger.log(1, {})
    logger.log(2, {})
    logger.close()
    assert "log.json lacks its last 2 records" in capsys.readouterr().out


def test_a_defect_is_not_taken_for_a_full_disk(tmp_path):
    logger = Logger([Patient(JSONStreamBackend(Verbosity.VERBOSE, str(tmp_path / "log.json")), "log.json")])
    with pytest.raises(TypeError):
        logger.log(1, {"value": object()})
    logger.log(2, {})
    logger.close()
    (line,) = (tmp_path / "log.json").read_text().splitlines()
    assert json.loads(line[5:])["step"] == 2
