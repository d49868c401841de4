"""Every recipe: which ones, how they are asked for and told, refusals; nothing is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark import every_recipe
from benchmark.kit.processes import Ended
from utils.errors import UserError


@pytest.fixture()
def stand(monkeypatch):
    """In place of main.py, which fails with one recipe; its commands."""
    asked = []

    def finished(words):
        asked.append(words)
        given = dict(zip(words, words[1:]))
        if given["--recipe"] == "sstem-quarter-unet":
            raise UserError("no\nroom", "room", "make some")
        run = Path(given["--model_dir"])
        run.mkdir()
        records = [{"type": "LOG", "step": [step, 2], "data": {"train_total_loss": loss}}
                   for step, loss in ((1, 0.5), (2, 0.25))]
        records.insert(1, {"type": "LOG", "step": [1, 2], "data": {"other": 1.0}})
        (run / "log.json").write_text("".join(f"DLLL {json.dumps(record)}\n" for record in records) + "DLLL {cut")
        return Ended(0, seconds=12.4, memory_mib=700.2)

    monkeypatch.setattr(every_recipe, "finished", finished)
    return asked


def test_a_row_for_each_and_one_for_what_failed(stand, capsys):
    assert every_recipe.main(["--only", "tinyunet", "quarter", "--", "--use_amp"]) == 1
    said = capsys.readouterr().out
    assert "| dagm2007-tinyunet | 12 | 700 | 0.2500 |" in said and "| sstem-quarter-unet |  |  | no room |" in said
    assert "\nfailed: sstem-quarter-unet" in said and "trained" in said
    tinyunet = next(words for words in stand if "dagm2007-tinyunet" in words)
    assert tinyunet[-3:] == ["--class_id", "1", "--use_amp"]


def test_all_that_trained(stand):
    assert every_recipe.main(["--only", "tinyunet"]) == 0


@pytest.mark.parametrize("more, words", [(["--only", "tpyo"], "--only tpyo\n  expected: words of the names"),
                                         (["--steps", "0"], "--steps 0")])
def test_what_trains_nothing_is_refused(stand, capsys, more, words):
    assert every_recipe.main(more) == 2
    assert words in capsys.readouterr().err and stand == []
