"""Whole runs: images from anywhere, several runs together, and whatever may be wrong with either."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import signal

import numpy as np
import pytest
import tifffile
from PIL import Image

import main as command_line
from datasets import given
from datasets.phantoms.folder import write_folder
from runtime.devices.cpu import CPU
from utils.commands import command_words
from utils.ledger import Ledger

from .conftest import write_recipe

SMALL = dict(model="plain_unet", normalisation="batch", filters=2, depth=1, crop_height=32, crop_width=32,
             window_stride=24, log_every=1, global_batch_size=2)


def call(*arguments, code=0):
    assert command_line.main(["--device", "cpu", *map(str, arguments)]) == code


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run on cells, whose data are gone, the same when it was younger, and images of other sizes. Not to be changed.
    """
    place = tmp_path_factory.mktemp("anything")
    recipe = write_recipe(place / "small.yaml", **SMALL)
    write_folder(str(place / "data"), "binary", specimens=5, size=48)
    call("--dataset", "folder", "--data_dir", place / "data", "--recipe", recipe, "--learning_rate", "0.01",
         "--exec_mode", "train", "--crossvalidation_idx", "0", "--max_steps", "2", "--save_checkpoints_steps", "1",
         "--model_dir", place / "run")
    shutil.copytree(str(place / "run"), str(place / "younger"))
    for path in (place / "younger" / "model_checkpoint").glob("*-2*"):
        path.unlink()
    os.rename(str(place / "data"), str(place / "elsewhere"))
    (place / "in put" / "zwölf").mkdir(parents=True)
    grey = np.asarray(Image.open(str(place / "elsewhere" / "test" / "images" / "s06_1.png")).convert("L"))
    Image.fromarray(grey[:40, :37]).save(str(place / "in put" / "a 1.png"))
    Image.fromarray(grey[:9, :33]).save(str(place / "in put" / "zwölf" / "ü.jpg"), quality=95)
    with tifffile.TiffWriter(str(place / "in put" / "stack.tif")) as stack:
        for page in (grey[:20, :20], grey[:30, :25]):
            stack.write(page, contiguous=False)
    return place


def predict(place, output, *arguments, code=0, run="run", images="in put"):
    call("--exec_mode", "predict", *([] if "--ensemble" in arguments else ["--model_dir", place / run]),
         "--input", place / images, "--output", output, *arguments, code=code)


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(path, name), str(folder))
                  for path, _, names in os.walk(str(folder)) for name in names)


def probabilities(folder):
    """Of every image, by file; pages of stacks one after the other."""
    found = {}
    for name in files_below(folder / "probabilities"):
        with tifffile.TiffFile(str(folder / "probabilities" / name)) as stack:
            for page, own in enumerate(stack.pages):
                found[f"{name}#{page}"] = own.asarray()
    return found


@pytest.fixture(scope="module")
def predicted(place, tmp_path_factory):
    """What one run predicts of the images. Not to be changed."""
    output = tmp_path_factory.mktemp("predicted") / "out put"
    predict(place, output, "--overlays")
    return output


def test_names_folders_and_stacks_are_kept(predicted):
    wanted = [os.path.join(kind, name) for kind, ending in (("masks", "png"), ("overlays", "png"),
                                                            ("probabilities", "tif"))
              for name in (f"a 1.{ending}", "stack.tif", f"zwölf/ü.{ending}")]
    assert files_below(predicted) == sorted(["areas.csv", "components.csv", *wanted])
    with Image.open(str(predicted / "masks" / "stack.tif")) as masks:
        assert (masks.n_frames, masks.mode, masks.size) == (2, "L", (20, 20))
        masks.seek(1)
        assert masks.size == (25, 30) and set(np.unique(np.asarray(masks))) <= {0, 255}
    with Image.open(str(predicted / "overlays" / "a 1.png")) as overlay:
        assert (overlay.mode, overlay.size) == ("RGB", (37, 40))


def test_areas_add_up(predicted):
    with open(str(predicted / "areas.csv"), encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    pixels = {}
    for row in rows:
        pixels[row["file"]] = pixels.get(row["file"], 0) + int(row["pixels"])
    assert pixels == {"a 1.png": 40 * 37, "stack.tif#0": 400, "stack.tif#1": 30 * 25, "zwölf/ü.jpg": 9 * 33}


def test_several_runs_give_the_mean_of_their_probabilities(place, predicted, tmp_path):
    predict(place, tmp_path / "second", run="younger")
    predict(place, tmp_path / "both", "--ensemble", place / "run", place / "younger")
    first, second, both = (probabilities(folder) for folder in (predicted, tmp_path / "second", tmp_path / "both"))
    assert len(both) == 4 and not np.allclose(first["a 1.tif#0"], second["a 1.tif#0"], atol=1e-3)
    for name, probability in both.items():
        assert np.abs(probability - (first[name] + second[name]) / 2.0).max() < 1e-6
    assert np.array_equal(np.asarray(Image.open(str(tmp_path / "both" / "masks" / "a 1.png"))) > 0,
                          both["a 1.tif#0"] > 0.5)
    assert files_below(tmp_path / "both")[-1].startswith("probabilities") and (tmp_path / "both" / "log.json").is_file()


def test_nothing_is_overwritten_unless_it_is_meant(place, predicted, tmp_path, capsys):
    output = tmp_path / "output"
    shutil.copytree(str(predicted), str(output))
    (output / "mine.txt").write_text("notes")
    before = (output / "areas.csv").read_bytes()
    predict(place, output, code=2)
    assert "output holds masks, probabilities, overlays, areas.csv" in capsys.readouterr().err
    predict(place, output, "--overwrite", "--no-save_probabilities", images="in put/a 1.png")
    assert "areas.csv.1" in capsys.readouterr().out
    assert (output / "areas.csv.1").read_bytes() == before
    assert files_below(output / "masks") == ["a 1.png"] and len(files_below(output / "masks.1")) == 3
    assert not (output / "probabilities").exists() and (output / "mine.txt").read_text() == "notes"


@pytest.mark.parametrize("arguments, words", [
    (["--input", "{place}/none/*.png"], "no image matches"),
    (["--output", "{place}/in put/masks"], "lies in --input"),
    (["--input", "{place}/in put/*", "--output", "{place}/in put/found"], "in put-predicted, say"),
    (["--input", "{place}/in*", "--output", "{place}/in put/found"], "lies in --input"),
    (["--output", "{place}/small.yaml"], "not a directory"),
    (["--input", "{place}/in put", "{place}/small.yaml"], "no image by its name"),
    (["--input", "{place}/bad"], "bad/b.png: an empty file"),
    (["--exec_mode", "train", "--input", "{place}/in put"], "--input with --exec_mode train"),
    (["--benchmark"], "--input with --benchmark"),
    (["--threshold", "auto"], "no validation images"),
])
def test_what_is_wrong_is_told_before_anything_is_written(place, tmp_path, arguments, words, capsys):
    (place / "bad").mkdir(exist_ok=True)
    (place / "bad" / "b.png").write_bytes(b"")
    asked = [argument.format(place=place) for argument in arguments]
    predict(place, tmp_path / "output", *asked, code=2)
    assert words in capsys.readouterr().err
    assert not files_below(tmp_path)


@pytest.mark.parametrize("arguments, words", [
    (["--ensemble", "{place}/run"], "two runs at least"),
    (["--ensemble", "{place}/run", "{place}/gone"], "no run there"),
    (["--ensemble", "{place}/run", "{place}/younger", "--model_dir", "{place}/run"], "with --model_dir"),
    (["--ensemble", "{place}/run", "{place}/other"], "background, foreground (classes) of"),
])
def test_runs_that_do_not_go_together_are_named(place, tmp_path, arguments, words, capsys):
    if not (place / "other").exists():
        shutil.copytree(str(place / "younger"), str(place / "other"))
        facts = json.loads((place / "other" / "dataset.json").read_text())
        facts["classes"][1] = "nucleus"
        (place / "other" / "dataset.json").write_text(json.dumps(facts))
    predict(place, tmp_path / "output", *(argument.format(place=place) for argument in arguments), code=2)
    assert words in capsys.readouterr().err


def test_several_runs_without_a_place_for_what_they_find(place, capsys):
    call("--exec_mode", "predict", "--ensemble", place / "run", place / "younger", code=2)
    assert "--ensemble without --output" in capsys.readouterr().err


def evaluate(place, output, *arguments, code=0, run="run"):
    """The evaluation, and what was written there by an earlier one."""
    call("--exec_mode", "evaluate", *([] if "--ensemble" in arguments else ["--model_dir", place / run]),
         "--output", output, *arguments, code=code)
    return json.loads((output / "evaluation.json").read_text()) if code == 0 else {}


def test_another_labelled_folder_is_scored_by_what_the_run_found_out(place, tmp_path, capsys):
    """Masks in another style, which means the same by the run's rule; some images have trained the run."""
    write_folder(str(tmp_path / "other"), "binary", specimens=5, size=48)
    for mask in (tmp_path / "other" / "masks").iterdir():  # whatever lies over an image, it is the same image
        with Image.open(str(mask)) as drawn:
            edited = np.array(drawn)
        edited[:4] = 0
        Image.fromarray(edited).save(str(mask))
    result = evaluate(place, tmp_path / "scores", "--input", tmp_path / "other")
    assert len(result["per_image"]) == 10 and result["data"] == str(tmp_path / "other")
    assert (result["split"], result["fold"], result["counts"]) == ("validation", None, {"validation": 10})
    known, told = "the run was trained on 8 of these images, whose scores are too good", capsys.readouterr().out
    assert known in result["remarks"][-1] and told.count(known) == 2 and "10 images, validation, data: " in told
    assert not (place / "run" / "evaluation.json").exists()
    evaluate(place, tmp_path / "scores", "--input", tmp_path / "other", code=2)
    assert "holds evaluation.json, evaluation.csv already" in capsys.readouterr().err
    twice = evaluate(place, tmp_path / "twice", "--input", tmp_path / "other", "--ensemble", place / "run",
                     place / "run", "--error_pictures")
    assert twice["scores"] == pytest.approx(result["scores"], rel=1e-5)  # a run with itself is that run
    assert twice["ensemble"] == [str(place / "run")] * 2
    assert [f"{place / 'run'}: {known}" in remark for remark in twice["remarks"][-2:]] == [True, True]
    assert files_below(tmp_path / "twice" / "evaluation_pictures") == ["best.png", "median.png", "worst.png"]


@pytest.mark.parametrize("arguments, words", [
    (["--input", "{place}/in put"], "no image with a mask"),
    (["--input", "{place}/in put", "{place}/elsewhere"], "one directory of images and masks"),
    (["--input", "{place}/in put/a 1.png"], "one directory of images and masks")])
def test_what_cannot_be_scored_is_told(place, tmp_path, arguments, words, capsys):
    evaluate(place, tmp_path / "scores", *(argument.format(place=place) for argument in arguments), code=2)
    assert words in capsys.readouterr().err
    call("--exec_mode", "evaluate", "--model_dir", place / "run", "--input", place / "elsewhere", code=2)
    assert "without --output" in capsys.readouterr().err


def test_numbers_that_are_none_are_neither_masks_nor_scores(place, large, tmp_path, monkeypatch, capsys):
    """A network in float16 whose features overflow."""
    monkeypatch.setattr(CPU, "widen", lambda self, logits: logits * float("nan"))
    predict(place, tmp_path / "found", code=2)
    assert "a 1.png: its prediction is not finite" in capsys.readouterr().err
    assert not (tmp_path / "found" / "masks").exists()
    predict(place, tmp_path / "streamed", "--stream", images=large / "a b.tif", code=2)
    assert "a b.tif, page 0: its prediction is not finite" in capsys.readouterr().err
    for more in ([], ["--ensemble", place / "run", place / "younger"]):
        evaluate(place, tmp_path / "scores", "--input", place / "elsewhere", *more, code=2)
        assert ".png: its prediction is not finite" in capsys.readouterr().err


# Images larger than memory --------------------------------------------------------------------------------------------

def rows_of(path):
    with open(str(path), encoding="utf-8") as stream:
        return [list(row.values()) for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """An image of two rows of tiles, and a small one. Not to be changed."""
    folder = tmp_path_factory.mktemp("large images")
    pixels = np.random.RandomState(0).randint(0, 256, [300, 40]).astype(np.uint8)
    tifffile.imwrite(str(folder / "a b.tif"), pixels, tile=(64, 64), compression="zlib")
    tifffile.imwrite(str(folder / "small.tif"), pixels[:20, :25])
    return folder


@pytest.fixture(scope="module")
def streamed(place, large, tmp_path_factory):
    """What is predicted of it from file to file. Not to be changed."""
    output = tmp_path_factory.mktemp("streamed") / "out put"
    predict(place, output, "--stream", "--blending", "gaussian", images=large / "a b.tif")
    return output


def test_from_file_to_file_it_is_what_is_predicted_as_a_whole(place, large, streamed, tmp_path):
    predict(place, tmp_path / "whole", "--blending", "gaussian", images=large / "a b.tif")
    assert sorted(os.listdir(str(streamed))) == ["areas.csv", "components.csv", "masks", "probabilities"]
    with tifffile.TiffFile(str(streamed / "masks" / "a b.tif")) as masks:
        page = masks.pages[0]
        assert masks.is_bigtiff and (page.tilelength, page.tilewidth, len(page.pages)) == (256, 256, 1)
    whole, found = (tifffile.imread(str(folder / "probabilities" / "a b.tif"))
                    for folder in (tmp_path / "whole", streamed))
    np.testing.assert_allclose(found, whole, atol=1e-5)
    mask = tifffile.imread(str(streamed / "masks" / "a b.tif"))
    np.testing.assert_array_equal(mask, np.where(found > 0.5, 255, 0))
    expected = [["a b.tif", "0", "background", str((mask == 0).sum())],
                ["a b.tif", "1", "foreground", str((mask == 255).sum())]]
    assert [row[:4] for row in rows_of(streamed / "areas.csv")] == expected
    assert {row[5] for row in rows_of(streamed / "areas.csv")} == {""}


def test_the_largest_are_streamed_without_asking_and_others_beside_them(place, large, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(given, "LARGE_PIXELS", 299 * 40)
    predict(place, tmp_path / "out", "--no-save_probabilities", "--overlays", images=large)
    assert sorted(os.listdir(str(tmp_path / "out" / "masks"))) == ["a b.tif", "small.png"]
    assert os.listdir(str(tmp_path / "out" / "overlays")) == ["small.png"]
    assert "2 images, 1 of them from file to file" in capsys.readouterr().out
    assert [row[0] for row in rows_of(tmp_path / "out" / "areas.csv")] == ["a b.tif"] * 2 + ["small.tif"] * 2


@pytest.mark.parametrize("flags, what", [((), "images of test"), (("--stream",), "{path}, page 0")])
def test_images_that_are_all_but_black_to_the_run_are_told(place, tmp_path, flags, what, capsys):
    path = tmp_path / "dark.tif"
    tifffile.imwrite(str(path), np.arange(40 * 30).reshape(40, 30).astype(np.uint8) % 10)
    predict(place, tmp_path / "out", *flags, images=path)
    assert f"warning: {what.format(path=path)}: no pixel above 9 of 255\n" in capsys.readouterr().out


def test_pages_beside_one_from_file_to_file_are_files_of_their_own(place, tmp_path, monkeypatch):
    monkeypatch.setattr(given, "LARGE_PIXELS", 299 * 40)
    with tifffile.TiffWriter(str(tmp_path / "s.tif")) as stack:
        for size in ((300, 40), (20, 25)):
            stack.write(np.arange(size[0] * size[1]).reshape(size).astype(np.uint8), contiguous=False)
    predict(place, tmp_path / "out", "--no-save_probabilities", images=tmp_path / "s.tif")
    assert sorted(os.listdir(str(tmp_path / "out" / "masks"))) == ["s#0.tif", "s#1.png"]


def test_a_stop_is_a_save_and_the_command_that_is_told_goes_on(place, large, streamed, tmp_path, monkeypatch, capsys):
    output, note = tmp_path / "out put", Ledger.note

    def signalled(self, entry):
        note(self, entry)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Ledger, "note", signalled)
    wanted = ["--stream", "--blending", "gaussian", "--overlays"]
    predict(place, output, *wanted, code=143, images=large / "a b.tif")
    monkeypatch.setattr(Ledger, "note", note)
    told = capsys.readouterr().err
    assert os.listdir(str(output)) == ["unfinished"]
    predict(place, output, code=2, images=large / "small.tif")
    what = f"{large / 'a b.tif'}, page 0"
    assert f"an unfinished prediction of {what}, which --input does not name" in capsys.readouterr().err
    predict(place, output, "--stream", code=2, images=large / "a b.tif")
    assert "with another checkpoint, other settings" in capsys.readouterr().err
    words = shlex.split(told.rpartition("to go on: ")[2])
    assert words[:2] == command_words() and command_line.main(words[2:]) == 0
    told = capsys.readouterr().out
    assert f"going on with the prediction in {output}" in told
    assert "overlays not drawn" in told and str(output / "masks") in told and str(output / "overlays") not in told
    for kind in ("masks", "probabilities"):
        assert (output / kind / "a b.tif").read_bytes() == (streamed / kind / "a b.tif").read_bytes()
    assert (output / "areas.csv").read_bytes() == (streamed / "areas.csv").read_bytes()
    assert not (output / "unfinished").exists()
    predict(place, output, "--stream", code=2, images=large / "a b.tif")
    assert "holds masks, probabilities, areas.csv, components.csv already" in capsys.readouterr().err


def test_what_goes_on_is_of_the_same_small_images(place, large, tmp_path, monkeypatch, capsys):
    """Masks of those that were predicted before would stand beside, and be listed nowhere."""
    monkeypatch.setattr(given, "LARGE_PIXELS", 299 * 40)
    images, note = tmp_path / "images", Ledger.note
    shutil.copytree(str(large), str(images))

    def signalled(self, entry):
        note(self, entry)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Ledger, "note", signalled)
    predict(place, tmp_path / "out", code=143, images=images)
    monkeypatch.setattr(Ledger, "note", note)
    os.rename(str(images / "small.tif"), str(images / "other.tif"))
    predict(place, tmp_path / "out", code=2, images=images)
    assert "an unfinished prediction of other images, or with other flags" in capsys.readouterr().err
    os.rename(str(images / "other.tif"), str(images / "small.tif"))
    predict(place, tmp_path / "out", images=images)
    assert sorted(os.listdir(str(tmp_path / "out" / "masks"))) == ["a b.tif", "small.png"]


def test_a_stop_in_the_last_rows_of_an_image_stops_before_the_next(place, large, tmp_path, monkeypatch, capsys):
    images, note = tmp_path / "images", Ledger.note
    images.mkdir()
    for name in ("1.tif", "2.tif"):
        shutil.copy(str(large / "small.tif"), str(images / name))

    def signalled(self, entry):
        note(self, entry)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Ledger, "note", signalled)
    predict(place, tmp_path / "out", "--stream", code=143, images=images)
    monkeypatch.setattr(Ledger, "note", note)
    words = shlex.split(capsys.readouterr().err.rpartition("to go on: ")[2])
    assert command_line.main(words[2:]) == 0
    assert sorted(os.listdir(str(tmp_path / "out" / "masks"))) == ["1.tif", "2.tif"]


@pytest.mark.parametrize("arguments, words", [
    (["--inference", "whole"], "images larger than memory with --inference whole"),
    (["--tta", "scales_and_flip"], "images larger than memory with scales 0.5, 0.75")])
def test_what_cannot_be_predicted_from_file_to_file(place, large, tmp_path, arguments, words, capsys):
    predict(place, tmp_path / "out", "--stream", *arguments, code=2, images=large / "a b.tif")
    assert words in capsys.readouterr().err and not files_below(tmp_path)
