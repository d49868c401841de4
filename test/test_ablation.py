"""The ablation: differences by hand, what is trained and what only evaluated, refusals. main.py is a stand-in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark import ablation, time_to_score
from benchmark.kit.processes import Ended
from benchmark.kit.results import NOTHING
from benchmark.timed import rescored, runs
from benchmark.timed.ablation_page import ablation_page, pairs
from benchmark.timed.cells import subject, varied
from benchmark.timed.ingredients import AVERAGED, ENSEMBLE, SINGLE, TRAINED, trained
from utils.errors import UserError

from .timed_stand_in import BEGUN, CELL, MACHINE, Stand, record


def of(variant, seed, score, fold=0):
    return record(CELL._replace(variant=variant, seed=seed, fold=fold), score)


# Arithmetic -------------------------------------------------------------------------------------------------------


def test_differences_are_those_of_the_same_seeds():
    """0.80 - 0.70 and 0.84 - 0.78, so 0.08, give or take the root of (0.02^2 + 0.02^2); seed 2 lacks its other half."""
    found = [of("", 0, 0.80), of("", 1, 0.84), of("without scale", 1, 0.78), of("without scale", 0, 0.70),
             of("without scale", 2, 0.10)]
    (pair,) = pairs(found)
    assert pair.name == "scale" and pair.own == (0.80, 0.84) and pair.without == (0.70, 0.78)
    assert "| scale | Dice_vessel | 0.8200 ± 0.0283 | 0.7400 ± 0.0566 | **+0.0800** ± 0.0283 | 2 | 1 |" in (
        ablation_page(found))


def test_folds_of_a_seed_are_averaged_first():
    found = [of("", 0, 0.8, fold=0), of("", 0, 0.6, fold=1), of("", 1, 0.9, fold=0)]
    (pair,) = pairs([*found, *(dict(each, case=dict(each["case"], variant="without scale")) for each in found)])
    assert pair.own == (pytest.approx(0.7),) and pair.folds == 2


def test_seeds_are_averaged_over_the_same_folds():
    found = [of("", seed, score, fold) for seed, fold, score in ((0, 0, 0.8), (0, 1, 0.6), (1, 1, 0.7), (1, 2, 0.1),
                                                                 (2, 0, 0.4), (2, 1, 0.6))]
    (pair,) = pairs([*found, *(dict(each, case=dict(each["case"], variant="without scale")) for each in found)])
    assert pair.own == (pytest.approx(0.7), pytest.approx(0.5)) and pair.folds == 2


def test_a_changed_recipe_is_paired_with_its_own_variants():
    def changed(found):
        return dict(found, case=dict(found["case"], origin="new", digest="new" + found["case"]["variant"]))

    old = [of("", 0, 0.8), of("without scale", 0, 0.7), of("", 1, 0.8), of("without scale", 1, 0.7)]
    assert pairs([*old, changed(of("", 0, 0.9))]) == []
    (pair,) = pairs([*old, changed(of("", 0, 0.9)), changed(of("without scale", 0, 0.6))])
    assert pair.own == (0.9,) and pair.without == (0.6,)
    # Nor does what was measured before for other minutes stay beside it, where the recipe is measured for some again.
    longer = [dict(each, case=dict(each["case"], minutes=10.0)) for each in old]
    own = [changed(of("", 0, 0.9)), changed(of("without scale", 0, 0.6))]
    assert ablation_page([*longer, *own]) == ablation_page(own)


def test_what_is_added_is_better_with_it():
    (pair,) = pairs([of("", 0, 0.8), of("with --tta flip", 0, 0.85)])
    assert pair.name == "--tta flip (added)" and pair.own == (0.85,) and pair.without == (0.8,)
    assert "| **+0.0500** | 1 | 1 |" in ablation_page([of("", 0, 0.8), of("with --tta flip", 0, 0.85)])


def test_an_ensemble_is_compared_with_single_networks_on_the_same_images():
    found = [of("", 0, 0.1), of(SINGLE, 0, 0.80, None), of(ENSEMBLE.variant, 0, 0.82, None)]
    (pair,) = pairs(found)
    assert pair.own == (0.82,) and pair.without == (0.80,)


def test_a_recipe_alone_makes_no_table():
    assert ablation_page([of("", 0, 0.8)]) == ablation_page([]) == NOTHING
    assert ablation_page([of("without scale", 0, 0.8)]) == NOTHING


def test_budgets_and_machines_have_tables_of_their_own():
    two = [of("", 0, 0.8), of("without scale", 0, 0.7)]
    other = [{**each, "machine": {**MACHINE, "cores": 64}, "load": 7.0} for each in two]
    text = ablation_page([*two, *other])
    assert text.count("| scale |") == 2 and "stare-fast, 4 minutes each, bfloat16; Abacus, 64 cores" in text
    assert "busy" not in text


# Ingredients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sstem-fast", "stare-fast", "folder-fast"])
def test_every_ingredient_is_one_of_the_fast_recipes(name):
    base = subject(name)
    parts = trained(base)
    assert len({varied(base, part.variant, part.changes).digest for part in parts} | {base.digest}) == len(parts) + 1
    assert parts[-1].added and parts[-1].changes == {"elastic_pixels": 4.0}
    assert not trained(varied(base, "", {"elastic_pixels": 2.0}))[-1].added


def test_a_recipe_of_other_ingredients_is_refused():
    with pytest.raises(UserError, match="no affine augmentation"):
        trained(subject("sstem-unet"))


# The command ------------------------------------------------------------------------------------------------------


class Evaluating(Stand):
    """Evaluates into --output, too; of an ensemble, 0.1 more than of a single network."""

    def __call__(self, words, around):
        given = dict(zip(words, words[1:]))
        if "--output" not in given:
            return super().__call__(words, around)
        self.words.append(list(words))
        self.modes.append("rescore")
        first = Path(given.get("--ensemble") or given["--model_dir"])
        if "--ensemble" in given:
            assert json.loads((first / "settings.json").read_text())["crossvalidation_idx"] is None
        document = json.loads((first / "evaluation.json").read_text())
        document["scores"]["Dice_vessel"] += 0.1 * ("--ensemble" in given) + 0.01 * ("--tta" in given)
        output = Path(given["--output"])
        output.mkdir()
        (output / "evaluation.json").write_text(json.dumps(document))
        return Ended(0)


@pytest.fixture()
def stand(monkeypatch):
    found = Evaluating()
    for module in (runs, rescored):
        monkeypatch.setattr(module, "finished", found)
    monkeypatch.setattr(runs.time, "time", lambda: BEGUN)
    monkeypatch.setattr(time_to_score, "ask", lambda *question: MACHINE)
    return found


def flags(tmp_path, *more):
    text = tmp_path / "page.md"
    if not text.exists():
        text.write_text("<!-- ablation: begin -->\n<!-- ablation: end -->\n")
    return ["--recipes", "stare-fast", "--seeds", "1", "--data_dir", "phantom", "--results",
            str(tmp_path / "results.json"), "--page", str(text), "--out", str(tmp_path / "out"), *more]


def test_every_ingredient_is_measured_once(tmp_path, stand):
    assert ablation.main(flags(tmp_path)) == 0
    assert stand.modes == ["train_and_evaluate"] * (2 + len(TRAINED)) + ["rescore"] * len(AVERAGED)
    assert all(words[words.index("--crossvalidation_idx") + 1] == "0" for words in stand.words[:2 + len(TRAINED)])
    assert "--save_checkpoints_minutes" not in stand.words[0]
    text = (tmp_path / "page.md").read_text()
    assert "| --tta turns (added) | Dice_vessel | 0.3100 | 0.3000 | **+0.0100** | 1 | 1 |" in text
    assert "| rotation | Dice_vessel | 0.3000 | 0.3000 | **+0.0000** | 1 | 1 |" in text and ENSEMBLE.name not in text
    del stand.modes[:]
    assert ablation.main(flags(tmp_path)) == 0 and stand.modes == []


def test_what_was_scored_of_another_training_is_scored_anew(tmp_path, stand):
    """The base of the first fold has been trained again, in other minutes; then that of the third one."""
    results = tmp_path / "results.json"

    def trained_again(fold):
        kept = json.loads(results.read_text())
        next(each for each in kept if (each["case"]["variant"], each["case"]["fold"]) == ("", fold))["minutes"] += 0.5
        results.write_text(json.dumps(kept))
        del stand.modes[:]
        assert ablation.main(flags(tmp_path, "--folds", "all")) == 0
        assert set(stand.modes) == {"rescore"}
        return len(stand.modes)

    assert ablation.main(flags(tmp_path, "--folds", "all")) == 0
    assert trained_again(0) == trained_again(2) == len(AVERAGED) + 5 + 1
    # Of before the minutes of all were kept.
    kept = [{name: value for name, value in each.items() if name != "trained"}
            for each in json.loads(results.read_text())]
    results.write_text(json.dumps(kept))
    del stand.modes[:]
    assert ablation.main(flags(tmp_path, "--folds", "all")) == 0 and stand.modes == []


def test_a_training_that_fails_keeps_nothing_else_from_being_scored(tmp_path, stand, capsys):
    stand.failing = ["1"]
    assert ablation.main(flags(tmp_path, "--seeds", "2")) == 1
    assert stand.modes.count("rescore") == len(AVERAGED) and "give more" in capsys.readouterr().err


def test_all_folds_make_an_ensemble_on_images_that_none_has_seen(tmp_path, stand):
    assert ablation.main(flags(tmp_path, "--folds", "all")) == 0
    (together,) = [words for words in stand.words if "--ensemble" in words]
    assert len([word for word in together if word.endswith("run-published")]) == 5
    assert not list((tmp_path / "out").rglob("run-published"))
    text = (tmp_path / "page.md").read_text()
    assert f"| {ENSEMBLE.name} (added) | Dice_vessel | 0.4000 | 0.3000 | **+0.1000** | 1 | 1 |" in text


def test_a_run_that_is_gone_is_told(tmp_path, stand, capsys):
    assert ablation.main(flags(tmp_path)) == 0
    results = tmp_path / "results.json"
    kept = [each for each in json.loads(results.read_text()) if "tta" not in each["case"]["variant"]]
    results.write_text(json.dumps(kept))
    assert ablation.main(flags(tmp_path, "--out", str(tmp_path / "elsewhere"))) == 2
    assert "name the --out that it was trained in" in capsys.readouterr().err


@pytest.mark.parametrize("more, words", [(["--folds", "none"], "keeps for testing"),
                                         (["--recipes", "dagm2007-fast"], "keeps for testing")])
def test_test_images_are_left_alone(tmp_path, capsys, more, words):
    assert ablation.main(flags(tmp_path, *more)) == 2
    assert words in capsys.readouterr().err
