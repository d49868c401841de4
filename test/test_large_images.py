"""Images larger than memory: when a run is trained anew, and what a kill proves; main.py is a stand-in."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from benchmark import large_images
from benchmark.kit.processes import Ended
from utils.errors import UserError

from .runtime.checkpoints.checkpoints import save


class Stand:
    """Trains up to a step, and predicts after as many kills as are wanted; files hold `text`."""

    def __init__(self, monkeypatch, step=large_images.STEPS, kills=0, text="mask"):
        self.trained, self.limits, self.step, self.kills, self.text = [], [], step, kills, text
        for name in ("finished", "carried_out"):
            monkeypatch.setattr(large_images, name, self)

    def __call__(self, words, around):
        given = dict(zip(words, words[1:]))
        if given["--exec_mode"] == "train":
            self.trained.append(Path(given["--recipe"]).read_text())
            save(Path(given["--model_dir"]), self.step)
            return Ended(0)
        self.limits.append(around.limit)
        if len(self.limits) <= self.kills:
            return Ended(-signal.SIGKILL)
        for path in large_images.files_of(given["--output"], given["--input"]):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            Path(path).write_text(self.text)
        return Ended(0, seconds=3.0)


def test_each_window_and_stride_has_a_run(tmp_path, monkeypatch):
    stand = Stand(monkeypatch)
    runs = [large_images.train(str(tmp_path), *sizes) for sizes in ((256, 224), (64, 32), (256, 224))]
    assert runs[0] == runs[2] != runs[1] and len(stand.trained) == 2
    assert "crop_height: 64" in stand.trained[1] and "window_stride: 32" in stand.trained[1]


def test_a_training_that_was_broken_off_is_begun_anew(tmp_path, monkeypatch):
    first = Stand(monkeypatch, step=large_images.STEPS - 1)
    run = Path(large_images.train(str(tmp_path), 256, 224))
    (run / "left").write_text("")
    second = Stand(monkeypatch)
    large_images.train(str(tmp_path), 256, 224)
    large_images.train(str(tmp_path), 256, 224)
    assert len(first.trained) == len(second.trained) == 1 and not (run / "left").exists()


@pytest.fixture()
def expected(tmp_path):
    """An image, and where its prediction lies."""
    image, output = str(tmp_path / "8.tif"), str(tmp_path / "predicted-8")
    for path in large_images.files_of(output, image):
        os.makedirs(os.path.dirname(path))
        Path(path).write_text("mask")
    return image, output


def test_a_prediction_is_killed_ever_later(monkeypatch, expected, capsys):
    stand = Stand(monkeypatch, kills=2)
    large_images.kill_and_compare("run", *expected, 5.0)
    assert stand.limits == [5.0, 10.0, 15.0] and "killed 2 times: the same bytes" in capsys.readouterr().out


@pytest.mark.parametrize("kills, text, words", [(0, "mask", "--kill 5: the prediction was done in 3.0 s"),
                                                (1, "other", "other bytes behind 1 kills")])
def test_a_kill_that_proves_nothing_is_told(monkeypatch, expected, kills, text, words):
    Stand(monkeypatch, kills=kills, text=text)
    with pytest.raises(UserError, match=words):
        large_images.kill_and_compare("run", *expected, 5.0)


def test_a_directory_is_the_same_from_everywhere(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(large_images, "train", lambda out, *sizes: asked.append(out) or "run")
    monkeypatch.setattr(large_images, "predict", lambda run, out, side: asked.append(out) or ("image", "output"))
    assert large_images.main(["--out", "here", "--sides", "8"]) == 0
    assert asked == [str(tmp_path / "here")] * 2


@pytest.mark.parametrize("more, words", [(["--sides", "0"], "--sides 0"), (["--kill", "-1"], "--kill -1"),
                                         (["--stride", "0"], "--stride 0")])
def test_what_means_nothing_is_refused(tmp_path, capsys, more, words):
    assert large_images.main(["--out", str(tmp_path), *more]) == 2
    assert words in capsys.readouterr().err
