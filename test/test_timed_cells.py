"""What is asked to be measured: cells of recipes, folds and seeds, where their data lies, and refusals."""

from __future__ import annotations

import pytest

from benchmark import time_to_score
from benchmark.timed import cells, places
from benchmark.timed.cells import Subject, Wanted
from utils.errors import UserError

from .timed_stand_in import SSTEM, STARE

WANTED = Wanted((), (), 2, (4.0,), ())
DAGM = Subject("dagm2007-fast", "", {"dataset": "dagm2007"})


def test_cells_of_a_seed_come_side_by_side():
    found = cells.cells([STARE, SSTEM], WANTED._replace(minutes=(4.0, 15.0), folds=["1", "3"]),
                        {"stare": "phantom", "sstem": "data"})
    assert len(found) == 2 * 2 * 2 * 2
    assert [(each.seed, each.minutes, each.dataset, each.fold) for each in found[:5]] == [
        (0, 4.0, "stare", 1), (0, 4.0, "stare", 3), (0, 4.0, "sstem", 1), (0, 4.0, "sstem", 3), (0, 15.0, "stare", 1)]
    assert found[0].split_rule == "" and found[2].split_rule == "partition" and found[0].data == "phantom"


def test_folds_are_those_that_the_data_set_needs():
    assert list(cells.folds_of("sstem", [])) == list(cells.folds_of("stare", ["all"])) == [0, 1, 2, 3, 4]
    assert cells.folds_of("stare", []) == cells.folds_of("dagm2007", []) == [None]


def test_settings_tell_recipes_of_one_name_apart():
    changed = cells.varied(STARE, "without scale", {"log_scale": 0.0})
    assert changed.dataset == "stare" and changed.digest != STARE.digest
    assert Subject("/here/own.yaml", "", {}).name == "own.yaml"


def test_a_recipe_may_be_named_twice_and_stand_beside_its_variants():
    variant = cells.varied(STARE, "without scale", {"log_scale": 0.0})
    subjects = [STARE, STARE._replace(settings=dict(STARE.settings)), variant]
    assert len(cells.cells(subjects, WANTED, {"stare": "data"})) == 3 * 2


@pytest.mark.parametrize("subjects, changes, words", [
    ([STARE], {"minutes": (0.0,)}, "--minutes 0"),
    ([STARE], {"minutes": (float("nan"),)}, "--minutes nan"),
    ([STARE], {"seeds": 0}, "--seeds 0"),
    ([SSTEM], {"folds": ["none"]}, "no validation split"),
    ([DAGM], {"folds": ["0"]}, "which has no folds"),
    ([STARE], {"folds": ["5"]}, "--folds 5"),
    ([STARE], {"split_rules": ["nvidia"]}, "a recipe on sstem"),
    ([STARE], {"flags": ("--crossvalidation_idx", "0")}, "use --folds in front of --"),
    ([STARE], {"flags": ("--weights", "other")}, "--weights behind --"),
    ([STARE], {"flags": ("--dataset", "drive")}, "use --recipes in front of --"),
    ([STARE, STARE._replace(recipe="/own/stare-fast", settings={})], {}, "two of the name stare-fast"),
    ([STARE], {"flags": ("--max_steps=5",)}, "--max_steps=5 behind --"),
])
def test_what_means_nothing_is_refused(subjects, changes, words):
    with pytest.raises(UserError) as caught:
        cells.cells(subjects, WANTED._replace(**changes), {"stare": "data", "sstem": "data", "dagm2007": "data"})
    assert words in str(caught.value)


def test_an_unknown_recipe_is_told_with_the_nearest(capsys):
    assert time_to_score.main(["--recipes", "stare-fats"]) == 2
    assert "use 'stare-fast'" in capsys.readouterr().err


def test_data_lies_where_it_is_said(tmp_path, monkeypatch):
    for name in ("STARE", "chase-db1", "own"):
        (tmp_path / name).mkdir()
    here = str(tmp_path)
    assert places.located(["stare", "chase_db1"], [here]) == {"stare": f"{here}/STARE",
                                                              "chase_db1": f"{here}/chase-db1"}
    assert places.located(["stare"], [f"{here}/own"]) == {"stare": f"{here}/own"}
    assert places.located(["stare", "hrf"], [f"hrf={here}/own", here]) == {"stare": f"{here}/STARE",
                                                                          "hrf": f"{here}/own"}
    assert places.located(["hrf"], ["phantom"]) == {"hrf": "phantom"}
    monkeypatch.chdir(tmp_path)
    assert places.located(["stare"], []) == {"stare": "phantom"}
    (tmp_path / "data" / "stare").mkdir(parents=True)
    assert places.located(["stare"], []) == {"stare": f"{here}/data/stare"}
    assert [places.kind("stare", place) for place in ("phantom", here)] == ["phantom", "data"]
    own = [places.kind("folder", place) for place in ("phantom", "/a", "/a/", "/b")]
    assert own[0] == "phantom" and own[1] == own[2] != own[3] and own[1].startswith("data ") and "/" not in own[1]


@pytest.mark.parametrize("datasets, given, words", [
    (["stare"], ["/nowhere"], "/nowhere: no such directory"),
    (["stare", "hrf"], ["."], "no folder stare there"),
    (["stare"], ["stare=/nowhere"], "/nowhere: no such directory"),
    (["stare"], ["hrf=/nowhere"], "a data set of the recipes: stare"),
])
def test_missing_data_is_told(tmp_path, monkeypatch, datasets, given, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        places.located(datasets, given)
