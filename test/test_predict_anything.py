"""Whole runs: images from anywhere, several runs together, and whatever may be wrong with either."""

from __future__ import annotations

import csv
import json
import os
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

import main as command_line
from datasets.phantoms.folder import write_folder

from .conftest import write_recipe

SMALL = dict(model="plain_unet", normalisation="batch", filters=2, crop_height=32, crop_width=32, window_stride=24,
             log_every=1, global_batch_size=2)


def call(*arguments, code=0):
    assert command_line.main(["--device", "cpu", *map(str, arguments)]) == code


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two folds of a run on cells, whose data are gone, and images of other sizes. Not to be changed."""
    place = tmp_path_factory.mktemp("anything")
    recipe = write_recipe(place / "small.yaml", **SMALL)
    write_folder(str(place / "data"), "binary", specimens=5, size=48)
    for fold in (0, 1):
        call("--dataset", "folder", "--data_dir", place / "data", "--recipe", recipe, "--learning_rate", "0.01",
             "--exec_mode", "train", "--crossvalidation_idx", fold, "--max_steps", "2", "--model_dir",
             place / f"fold_{fold}")
    os.rename(str(place / "data"), str(place / "elsewhere"))
    (place / "in put" / "zwölf").mkdir(parents=True)
    grey = np.asarray(Image.open(str(place / "elsewhere" / "test" / "images" / "s06_1.png")).convert("L"))
    Image.fromarray(grey[:40, :37]).save(str(place / "in put" / "a 1.png"))
    Image.fromarray(grey[:9, :33]).save(str(place / "in put" / "zwölf" / "ü.jpg"), quality=95)
    with tifffile.TiffWriter(str(place / "in put" / "stack.tif")) as stack:
        for page in (grey[:20, :20], grey[:30, :25]):
            stack.write(page, contiguous=False)
    return place


def predict(place, output, *arguments, code=0, run="fold_0", images="in put"):
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
    predict(place, tmp_path / "second", run="fold_1")
    predict(place, tmp_path / "both", "--ensemble", place / "fold_0", place / "fold_1")
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
    assert "holds predictions already (masks, probabilities, overlays, areas.csv" in capsys.readouterr().err
    predict(place, output, "--overwrite", "--no-save_probabilities", images="in put/a 1.png")
    assert "areas.csv.1" in capsys.readouterr().out
    assert (output / "areas.csv.1").read_bytes() == before
    assert files_below(output / "masks") == ["a 1.png"] and len(files_below(output / "masks.1")) == 3
    assert not (output / "probabilities").exists() and (output / "mine.txt").read_text() == "notes"


@pytest.mark.parametrize("arguments, words", [
    (["--input", "{place}/none/*.png"], "no image matches"),
    (["--output", "{place}/in put/masks"], "lies in --input"),
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
    given = [argument.format(place=place) for argument in arguments]
    predict(place, tmp_path / "output", *given, code=2)
    assert words in capsys.readouterr().err
    assert not files_below(tmp_path)


@pytest.mark.parametrize("arguments, words", [
    (["--ensemble", "{place}/fold_0"], "two runs at least"),
    (["--ensemble", "{place}/fold_0", "{place}/gone"], "no run there"),
    (["--ensemble", "{place}/fold_0", "{place}/fold_1", "--model_dir", "{place}/fold_0"], "with --model_dir"),
    (["--ensemble", "{place}/fold_0", "{place}/other"], "background, foreground (classes) of"),
])
def test_runs_that_do_not_go_together_are_named(place, tmp_path, arguments, words, capsys):
    if not (place / "other").exists():
        shutil.copytree(str(place / "fold_1"), str(place / "other"))
        facts = json.loads((place / "other" / "dataset.json").read_text())
        facts["classes"][1] = "nucleus"
        (place / "other" / "dataset.json").write_text(json.dumps(facts))
    predict(place, tmp_path / "output", *(argument.format(place=place) for argument in arguments), code=2)
    assert words in capsys.readouterr().err


def test_several_runs_without_a_place_for_what_they_find(place, capsys):
    call("--exec_mode", "predict", "--ensemble", place / "fold_0", place / "fold_1", code=2)
    assert "--ensemble without --output" in capsys.readouterr().err


def test_slices_of_any_size_follow_a_network_that_scales_whole_slices(phantom, tmp_path):
    """A run on ssTEM whose data are gone; a stack of other sizes comes back as one."""
    recipe = write_recipe(tmp_path / "scaled.yaml", model="plain_unet", filters=2, input_size=32)
    shutil.copytree(phantom, str(tmp_path / "data"))
    call("--recipe", recipe, "--data_dir", tmp_path / "data", "--max_steps", "1", "--model_dir", tmp_path / "run")
    shutil.rmtree(str(tmp_path / "data"))
    pages = [np.full((40, 50), 90, np.uint16), np.full((33, 64), 4000, np.uint16)]
    with tifffile.TiffWriter(str(tmp_path / "new.tif")) as stack:
        for page in pages:
            stack.write(page, contiguous=False)
    predict(tmp_path, tmp_path / "out", run="run", images="new.tif")
    found = probabilities(tmp_path / "out")
    assert [found[f"new.tif#{page}"].shape for page in (0, 1)] == [(40, 50), (33, 64)]
    assert np.asarray(tifffile.imread(str(tmp_path / "out" / "masks" / "new.tif"), key=0)).shape == (40, 50)
