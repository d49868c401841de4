"""Directories of DAGM2007: what trains, validates and is scored, what is laid out otherwise, and what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Callable

import pytest

from datasets.base import TEST, TRAIN, VALIDATION
from datasets.dagm2007_layouts import LAYOUTS
from utils.errors import UserError

from .dagm2007_sets import opened as _open
from .published import refused as _refused


@pytest.fixture()
def copy(competition: str, tmp_path: Path) -> Path:
    """A competition set that may be changed."""
    return Path(shutil.copytree(competition, str(tmp_path / "copy")))


@pytest.fixture()
def free_copy(free: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(free, str(tmp_path / "free copy")))


class TestSplits:
    def test_defective_images_train_as_published(self, competition: str) -> None:
        dataset = _open(competition)
        assert len(dataset.ids(TRAIN)) == 5 and len(dataset.ids(TEST)) == 5
        assert all(dataset.read(sample_id).label.any() for sample_id in dataset.ids(TRAIN))
        assert len(_open(competition, train_on="all").ids(TRAIN)) == 10

    def test_which_images_are_defective_is_told_in_the_order_of_the_ids(self, competition: str) -> None:
        dataset, defective = _open(competition, train_on="all"), set(_open(competition).ids(TRAIN))
        flags = dataset.defective(TRAIN)
        assert [name in defective for name in dataset.ids(TRAIN)] == list(flags)
        assert True in flags and False in flags
        assert dataset.evaluation_split == TEST

    def test_all_of_test_is_scored(self, competition: str) -> None:
        dataset = _open(competition)
        assert list(dataset.ids(TEST)) == [f"Class2/Test/{number:04d}.PNG" for number in range(1, 6)]
        assert [dataset.read(sample_id).label is not None for sample_id in dataset.ids(TEST)] == [True] * 5

    def test_without_a_fraction_nothing_validates(self, competition: str) -> None:
        for use in (_open(competition).ids, lambda split: _open(competition).verify([split])):
            _refused(lambda use=use: use(VALIDATION), "no image validates", "--validation_fraction 0.2")

    @pytest.mark.parametrize("fraction, defective, sound", [(0.2, 1, 1), (0.01, 1, 1), (0.4, 2, 2), (0.99, 4, 4)])
    def test_defective_and_sound_images_validate_each_by_the_fraction(self, competition: str, fraction: float,
                                                                      defective: int, sound: int) -> None:
        dataset = _open(competition, validation_fraction=fraction)
        labels = [dataset.read(sample_id).label.any() for sample_id in dataset.ids(VALIDATION)]
        assert (sum(labels), len(labels) - sum(labels)) == (defective, sound)
        assert len(dataset.ids(TRAIN)) == 5 - defective
        assert not set(dataset.ids(TRAIN)) & set(dataset.ids(VALIDATION))

    def test_the_seed_draws_them_and_whatever_trains(self, competition: str) -> None:
        drawn = {tuple(_open(competition, seed, validation_fraction=0.4).ids(VALIDATION)) for seed in range(9)}
        assert len(drawn) > 4 and all(list(ids) == sorted(ids) for ids in drawn)
        assert tuple(_open(competition, 3, train_on="all", validation_fraction=0.4).ids(VALIDATION)) in drawn

    @pytest.mark.parametrize("seed", [0, 5])
    def test_odd_numbers_of_the_free_set_train(self, free: str, seed: int) -> None:
        dataset = _open(free, seed, train_on="all")
        numbers = {split: [int(Path(sample_id).stem) % 2 for sample_id in dataset.ids(split)]
                   for split in (TRAIN, TEST)}
        assert numbers == {TRAIN: [1] * 10, TEST: [0] * 10}
        assert len(_open(free).ids(TRAIN)) == 5

    @pytest.mark.parametrize("split", [TRAIN, TEST])
    def test_only_the_folders_of_a_split_are_needed(self, copy: Path, split: str) -> None:
        shutil.rmtree(str(copy / "Class2" / {TRAIN: "Test", TEST: "Train"}[split]))
        dataset = _open(copy)
        dataset.verify([split])
        assert dataset.native_size(split) == (64, 64)
        assert [dataset.read(sample_id).image.shape for sample_id in dataset.ids(split)] == [(64, 64, 1)] * 5
        assert len(dataset.counts([split])) == 2

    def test_no_defective_image(self, copy: Path) -> None:
        for label in (copy / "Class2/Train/Label").glob("*.PNG"):
            label.unlink()
        lines = [f"{number:04d}\t0\t{number:04d}.PNG\t0\t0\n" for number in range(1, 11)]
        (copy / "Class2/Train/Label/Labels.txt").write_text("1\n" + "".join(lines))
        _refused(lambda: _open(copy).ids(TRAIN), f"{copy}: Class2 has no defective image for the train split",
                 "--train_on all")
        assert len(_open(copy, train_on="all").ids(TRAIN)) == 10


class TestLayouts:
    def test_are_found_by_looking(self, competition: str, free: str) -> None:
        assert len(_open(competition, layout="competition").ids(TEST)) == 5
        assert len(_open(free, layout="free").ids(TEST)) == 5 + 5
        assert sorted(LAYOUTS) == ["competition", "free"]

    def test_public_data_where_the_competition_was_asked_for(self, free: str) -> None:
        _refused(lambda: _open(free, layout="competition").verify([TRAIN]),
                 f"{os.path.join(free, 'Class2')}: the free layout", "competition set")

    def test_and_the_other_way_round(self, competition: str) -> None:
        _refused(lambda: _open(competition, layout="free").verify([TRAIN]),
                 f"{os.path.join(competition, 'Class2')}: the competition layout")

    def test_both_at_once(self, competition: str, free: str, tmp_path: Path) -> None:
        both = shutil.copytree(competition, str(tmp_path / "both"))
        for name in ("Class2", "Class2_def"):
            for entry in os.listdir(os.path.join(free, name)):
                os.makedirs(os.path.join(both, name), exist_ok=True)
                shutil.copy(os.path.join(free, name, entry), os.path.join(both, name, entry))
        assert list(_open(both).ids(TEST)) == list(_open(competition).ids(TEST))
        assert list(_open(both, layout="free").ids(TEST)) == list(_open(free).ids(TEST))

    def test_endings_of_any_case(self, copy: Path) -> None:
        for path in sorted(copy.rglob("*.PNG")):
            os.rename(str(path), str(path.with_suffix(".png")))
        dataset = _open(copy)
        dataset.verify((TRAIN, TEST))
        assert len(dataset.ids(TRAIN)) == 5

    @pytest.mark.parametrize("name", ["LABELS.TXT", "Labels.txt", "labels.txt"])
    def test_tables_of_any_case_that_begin_with_a_byte_order_mark(self, copy: Path, free_copy: Path,
                                                                  name: str) -> None:
        for directory, place in ((copy, "Class2/Train/Label"), (free_copy, "Class2_def")):
            (table,) = (directory / place).glob("*.txt")
            table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
            os.rename(str(table), str(table.parent / name))
            _open(directory).verify((TRAIN,))
            assert len(_open(directory).ids(TRAIN)) == 5
        (copy / "Class2/Train/Label" / name).write_text("1\n")
        _refused(lambda: _open(copy).ids(TRAIN), f"{copy / 'Class2/Train/Label' / name}: no line for 0001.PNG")

    def test_a_partial_set_without_some_images(self, copy: Path) -> None:
        sound = next(path for path in sorted((copy / "Class2/Test").glob("*.PNG"))
                     if not (path.parent / "Label" / f"{path.stem}_label.PNG").exists())
        sound.unlink()
        _open(copy).verify((TRAIN, TEST))
        assert len(_open(copy).ids(TEST)) == 4

    def test_what_lies_about_is_passed_over(self, copy: Path) -> None:
        for name in ("Thumbs.db", ".DS_Store", "._0001.PNG"):
            (copy / "Class2/Train" / name).write_text("")
        _open(copy).verify((TRAIN,))


class TestWithoutTable:
    """`Labels.txt` is what tells that a label is missing."""

    @pytest.fixture(params=[["Label"], ["Label/*.PNG", "Label/*.txt"]], ids=["the folder", "all in it"])
    def spoil(self, request: Any, copy: Path) -> Callable[[str], Path]:
        """Takes the labels and the table from a part: by their folder, or each."""

        def call(part: str) -> Path:
            for path in [path for pattern in request.param for path in (copy / part).glob(pattern)]:
                shutil.rmtree(str(path)) if path.is_dir() else path.unlink()
            return copy / part

        return call

    @pytest.mark.parametrize("train_on", ["all", "defective"])
    @pytest.mark.parametrize("split", [TRAIN, VALIDATION])
    def test_what_trains_needs_labels(self, copy: Path, spoil: Callable[[str], Path], train_on: str,
                                      split: str) -> None:
        folder = spoil("Class2/Train")
        dataset = _open(copy, train_on=train_on, validation_fraction=0.4)
        for use in (lambda: dataset.ids(split), lambda: dataset.verify([split])):
            _refused(use, f"{folder}: neither Label/Labels.txt nor a label", "fetch Label again")
        dataset.verify([TEST])
        dataset.require_scorable()

    def test_what_is_scored_needs_labels_and_what_is_predicted_does_not(self, copy: Path,
                                                                        spoil: Callable[[str], Path]) -> None:
        folder = spoil("Class2/Test")
        dataset = _open(copy)
        dataset.verify((TRAIN, TEST))
        assert len(dataset.ids(TEST)) == 5
        _refused(dataset.require_scorable, f"{folder}: neither Label/Labels.txt nor a label", "--exec_mode predict")
        assert list(dataset.remarks((TRAIN, TEST))) == [
            f"{folder / 'Label'}: no Labels.txt: nothing tells sound images from defective ones"]

    @pytest.mark.parametrize("part, split", [("Train", TRAIN), ("Test", TEST)])
    def test_labels_alone_do_and_it_is_said(self, copy: Path, part: str, split: str) -> None:
        place = copy / "Class2" / part / "Label"
        (place / "Labels.txt").unlink()
        dataset = _open(copy, train_on="all")
        dataset.verify((TRAIN, TEST))
        dataset.require_scorable()
        said = [f"{place}: no Labels.txt: images without a label count as sound"]
        assert list(dataset.remarks((TRAIN, TEST))) == list(dataset.remarks((split,))) == said
        assert list(dataset.remarks({TRAIN, TEST} - {split})) == []

    def test_nothing_surprises_otherwise(self, competition: str, free: str) -> None:
        for directory in (competition, free):
            _open(directory).require_scorable()
            assert list(_open(directory).remarks((TRAIN, TEST))) == []

    def test_a_part_that_is_not_there_cannot_be_scored(self, copy: Path) -> None:
        shutil.rmtree(str(copy / "Class2/Test"))
        _refused(_open(copy).require_scorable, f"{copy / 'Class2/Test'}: no such directory")


class TestVerify:
    def test_nothing_is_read_that_no_split_needs(self, copy: Path) -> None:
        for path in (copy / "Class2/Test").glob("*.PNG"):
            path.write_bytes(b"")
        dataset = _open(copy, train_on="all")
        dataset.verify((TRAIN,))
        dataset.verify(())
        with pytest.raises(UserError, match="an empty file"):
            dataset.verify((TRAIN, TEST))

    @pytest.mark.parametrize("first, second", [(TRAIN, TEST), (TRAIN, VALIDATION)])
    def test_an_image_of_two_splits(self, copy: Path, first: str, second: str) -> None:
        dataset = _open(copy, train_on="all", validation_fraction=0.4)
        one, other = (os.path.join(str(copy), dataset.ids(split)[0]) for split in (first, second))
        shutil.copy(one, other)
        _refused(lambda: dataset.verify((first, second)), f"{other}: the same pixels as {dataset.ids(first)[0]}")
        dataset.verify((first,))

    def test_a_label_that_vanishes_is_not_a_sound_image(self, copy: Path) -> None:
        dataset = _open(copy)
        sample_id = dataset.ids(TRAIN)[0]
        label = copy / "Class2/Train/Label" / f"{Path(sample_id).stem}_label.PNG"
        label.unlink()
        _refused(lambda: dataset.read(sample_id), f"{label}: no such file")
