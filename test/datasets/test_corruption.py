"""Whatever is wrong with a data set is told before any work starts, by both commands, with the culprit's name."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import warnings
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

import datasets.sstem_volumes
import download_dataset
import main
from datasets.base import TEST, TRAIN, VALIDATION
from datasets.options import DataOptions
from datasets.sstem import SSTEM
from datasets.sstem_volumes import NAMES, TEST_VOLUME, TRAIN_LABELS, TRAIN_VOLUME
from utils.errors import UserError
from utils.tiff import read_page, read_pages, write_pages

from . import corruption
from .contract import in_time
from .corruption import SUBJECTS, VOLUMES, Subject, asked, sound_set, spoiled, verified
from .mutations import MUTATIONS, Mutation
from .spoiling import FOLD, SEED, SLICES

BY_NAME = {mutation.what: mutation for mutation in MUTATIONS}


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """Whoever opens a FIFO or reads a device to its end would wait for ever."""
    with in_time():
        yield


@pytest.fixture()
def sound() -> Iterator[str]:
    with sound_set() as directory:
        yield directory


@pytest.fixture(params=MUTATIONS, ids=list(BY_NAME))
def mutation(request: pytest.FixtureRequest) -> Mutation:
    return request.param


def checked(directory: str, subject: Subject = VOLUMES) -> str:
    """The exit code of `download_dataset.py --check`, and what it says."""
    said, entry = io.StringIO(), subject.entry
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = download_dataset.main(["--check", "--dataset", entry.name, "--data_dir", directory], {entry.name: entry})
    return f"{code} {said.getvalue()}"


def answer(mutation: Mutation, directory: str, question: Callable[[str], str]) -> str:
    try:
        return asked(mutation, lambda: question(directory))
    except PermissionError:
        return pytest.skip("root cannot become another user here")


class TestMutations:
    def test_there_are_fifty_at_least(self) -> None:
        assert len(BY_NAME) == len(MUTATIONS) >= 50

    def test_verify_names_the_culprit(self, mutation: Mutation) -> None:
        with spoiled(mutation) as directory, warnings.catch_warnings():
            warnings.simplefilter("error")
            text = answer(mutation, directory, verified)
            assert text.startswith(mutation.culprit(directory))
        assert "expected:" in text and "repair:" in text

    def test_check_names_the_culprit(self, mutation: Mutation) -> None:
        with spoiled(mutation) as directory:
            text = answer(mutation, directory, checked)
            assert text.startswith("2 ")
            assert f"\nerror: {mutation.culprit(directory)}" in text
            assert f"problem: {mutation.culprit(directory)}" in text
        assert "Traceback" not in text

    @pytest.mark.parametrize("what", ["a FIFO, which would be waited for", "float pixels with NaN among them",
                                      "directories at the end, all but the first cut off",
                                      "a slice that both trains and validates"])
    def test_training_does_not_start(self, what: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
        mutation, model = BY_NAME[what], tmp_path / "model"
        with spoiled(mutation) as directory:
            words = ["--exec_mode", "train_and_predict", "--max_steps", "1", "--crossvalidation_idx", str(FOLD),
                     "--data_dir", directory, "--model_dir", str(model)]
            assert main.main(words) == 2
            assert capsys.readouterr().err.startswith(f"error: {mutation.culprit(directory)}")
        assert not model.exists()

    def test_the_document_is_up_to_date(self) -> None:
        try:
            written = corruption.document()
        except PermissionError:
            pytest.skip("root cannot become another user here")
        assert written == corruption.DOCUMENT.read_text(encoding="utf-8"), \
            "write it anew with `python -m test.datasets.corruption`"


IMAGES = [pytest.param(subject, mutation, id=f"{subject.title}: {mutation.what}")
          for subject in SUBJECTS[1:] for mutation in subject.mutations]


class TestSetsOfImages:
    @pytest.mark.parametrize("subject, mutation", IMAGES)
    def test_verify_names_the_culprit(self, subject: Subject, mutation: Mutation) -> None:
        with spoiled(mutation, subject) as directory, warnings.catch_warnings():
            warnings.simplefilter("error")
            text = answer(mutation, directory, lambda directory: verified(directory, subject))
            assert text.startswith(mutation.culprit(directory))
        assert "expected:" in text and "repair:" in text

    @pytest.mark.parametrize("subject, mutation", [one for one in IMAGES if one.values[0].entry is not None])
    def test_check_names_the_culprit(self, subject: Subject, mutation: Mutation) -> None:
        with spoiled(mutation, subject) as directory:
            text = answer(mutation, directory, lambda directory: checked(directory, subject))
            assert text.startswith("2 ")
            assert f"\nerror: {mutation.culprit(directory)}" in text
            assert f"problem: {mutation.culprit(directory)}" in text
        assert "Traceback" not in text


@pytest.mark.parametrize("subject", SUBJECTS, ids=[subject.title for subject in SUBJECTS])
def test_sound_sets_pass(subject: Subject) -> None:
    assert len({mutation.what for mutation in subject.mutations}) == len(subject.mutations)
    with sound_set(subject) as directory:
        assert verified(directory, subject) == ""


@pytest.mark.parametrize("what, name", [
    ("a name in upper case", "TRAIN-VOLUME.TIF"), ("a name that ends in .tiff", "train-labels.tiff"),
    ("a name with an underscore", "test_volume.tif"),
    ("the volumes lie one folder deeper", os.path.join("ISBI-2012-challenge", TRAIN_VOLUME))])
def test_a_near_name_is_told(what: str, name: str) -> None:
    with spoiled(BY_NAME[what]) as directory:
        assert verified(directory).splitlines()[0].endswith(f"no such file; there is {name}")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_vanishes_after_it_was_seen(sound: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = datasets.sstem_volumes.survey

    def survey_after_loss(path: str) -> Any:
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(sound, name))
        return survey(path)

    monkeypatch.setattr(datasets.sstem_volumes, "survey", survey_after_loss)
    assert verified(sound).startswith(f"{os.path.join(sound, name)}: no such file")


def test_every_page_is_decoded_once(sound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    load = TiffImageFile.load

    # What is left in `tile` is still to be decoded.
    def counted_load(image: TiffImageFile) -> Any:
        if image.tile:
            decoded.append(image.tell())
        return load(image)

    monkeypatch.setattr(TiffImageFile, "load", counted_load)
    assert verified(sound) == ""
    assert decoded == list(range(SLICES)) * len(NAMES)


def test_every_problem_is_listed_by_the_check(sound: str) -> None:
    BY_NAME["training volume and labels swapped"].spoil(Path(sound, TRAIN_VOLUME))
    os.remove(os.path.join(sound, TEST_VOLUME))
    text = checked(sound)
    assert [text.count(f"problem: {os.path.join(sound, name)}") for name in NAMES] == [1, 1, 1]


def rewritten(sound: str, **options: Any) -> None:
    for name in NAMES:
        stack = np.stack(list(read_pages(os.path.join(sound, name))))
        big = {key: options[key] for key in ("bigtiff", "byteorder") if key in options}
        rest = {key: value for key, value in options.items() if key not in big}
        with tifffile.TiffWriter(os.path.join(sound, name), **big) as writer:
            for page in stack:
                writer.write(page, **{"photometric": "minisblack", "contiguous": False, "metadata": None, **rest})


def by_pillow(sound: str, names: Sequence[str], mode: str, compression: str) -> None:
    for name in names:
        first, *others = [Image.fromarray(page).convert(mode) for page in read_pages(os.path.join(sound, name))]
        first.save(os.path.join(sound, name), save_all=True, append_images=others, compression=compression)


def deepened(sound: str) -> None:
    for name in NAMES:
        stack = [page.astype(np.uint16) * 257 for page in read_pages(os.path.join(sound, name))]
        write_pages(os.path.join(sound, name), stack)


class TestSoundSets:
    """What must pass: every container that a user may have."""

    @pytest.mark.parametrize("rewrite", [
        lambda sound: None,
        lambda sound: rewritten(sound, compression="zlib"),
        lambda sound: rewritten(sound, byteorder=">"),
        lambda sound: rewritten(sound, bigtiff=True),
        lambda sound: rewritten(sound, bigtiff=True, byteorder=">"),
        lambda sound: rewritten(sound, bigtiff=True, byteorder=">", compression="zlib"),
        lambda sound: rewritten(sound, tile=(32, 32)),
        lambda sound: rewritten(sound, tile=(48, 48), compression="zlib"),
        lambda sound: rewritten(sound, contiguous=True),
        lambda sound: rewritten(sound, rowsperstrip=7),
        lambda sound: rewritten(sound, photometric="miniswhite"),
        *(functools.partial(by_pillow, names=NAMES, mode="L", compression=compression)
          for compression in ("raw", "tiff_lzw", "packbits", "tiff_adobe_deflate")),
        *(functools.partial(by_pillow, names=[TRAIN_LABELS], mode="1", compression=compression)
          for compression in ("raw", "tiff_lzw", "packbits", "group4")),
        deepened,
        lambda sound: (deepened(sound), rewritten(sound, byteorder=">")),
        lambda sound: (deepened(sound), rewritten(sound, bigtiff=True, byteorder=">", tile=(32, 32))),
    ])
    def test_containers(self, sound: str, rewrite: Callable[[str], Any]) -> None:
        rewrite(sound)
        assert verified(sound) == ""
        assert checked(sound).startswith("0 ")

    def test_imagej(self, sound: str) -> None:
        for name in NAMES:
            stack = np.stack(list(read_pages(os.path.join(sound, name))))
            tifffile.imwrite(os.path.join(sound, name), stack, imagej=True)
        assert verified(sound) == ""

    def test_a_link_to_a_volume(self, sound: str) -> None:
        os.rename(os.path.join(sound, TRAIN_VOLUME), os.path.join(sound, "elsewhere.tif"))
        os.symlink("elsewhere.tif", os.path.join(sound, TRAIN_VOLUME))
        assert verified(sound) == ""

    @pytest.mark.parametrize("splits", [(TRAIN,), (TRAIN, TEST)])
    def test_slices_that_repeat_while_all_of_them_train(self, sound: str, splits: Any) -> None:
        BY_NAME["a slice that both trains and validates"].spoil(Path(sound, TRAIN_VOLUME))
        SSTEM(sound, DataOptions(), SEED).verify(splits)

    def test_few_slices_while_all_of_them_train(self, sound: str) -> None:
        BY_NAME["fewer slices than folds"].spoil(Path(sound, TRAIN_VOLUME))
        SSTEM(sound, DataOptions(), SEED).verify((TRAIN,))

    def test_volumes_that_no_split_needs_are_not_looked_at(self, sound: str) -> None:
        Path(sound, TRAIN_LABELS).write_bytes(b"")
        SSTEM(sound, DataOptions(), SEED).verify((TEST,))

    @pytest.mark.parametrize("splits", [(TRAIN,), (VALIDATION,)])
    def test_what_spoils_a_fold_is_told_whichever_part_is_wanted(self, sound: str, splits: Any) -> None:
        BY_NAME["a slice that both trains and validates"].spoil(Path(sound, TRAIN_VOLUME))
        with pytest.raises(UserError, match="the same pixels as page"):
            SSTEM(sound, DataOptions(crossvalidation_idx=FOLD), SEED).verify(splits)


def test_pixels_survive_every_byte_order(sound: str) -> None:
    path = os.path.join(sound, TRAIN_VOLUME)
    deepened(sound)
    page = read_page(path, 3)
    for options in ({"byteorder": ">"}, {"bigtiff": True, "byteorder": ">"},
                    {"bigtiff": True, "byteorder": ">", "compression": "zlib"}):
        rewritten(sound, **options)
        read = read_page(path, 3)
        assert read.dtype == np.uint16 and read.dtype.isnative
        np.testing.assert_array_equal(read, page)
