"""From flags, recipes and saved runs to settings."""

from __future__ import annotations

import pytest
import yaml

from runtime.settings.compose import compose, compose_members
from runtime.settings.saved import FILE_NAME, load_settings, save_settings
from runtime.settings.tree import with_values
from utils.errors import UserError

from ...conftest import write_recipe


def saved_run(directory, **values):
    save_settings(compose(dict(values, model_dir=str(directory))), str(directory))
    return str(directory)


def test_flag_beats_recipe_beats_default(tmp_path):
    recipe = write_recipe(tmp_path / "r.yaml", max_steps=50, seed=3)
    settings = compose({"recipe": recipe, "max_steps": 7})
    assert (settings.training.max_steps, settings.training.seed, settings.training.log_every) == (7, 3, 100)


def test_a_data_sets_own_default_beats_the_default_alone(tmp_path):
    assert compose({"dataset": "folder"}).data.feeding == "native_crops"
    recipe = write_recipe(tmp_path / "r.yaml", dataset="folder", feeding="resize_to_window")
    settings = compose({"recipe": recipe})
    assert (settings.data.feeding, settings.data.image_normalisation) == ("resize_to_window", "training")
    assert compose({"dataset": "sstem", "recipe": recipe}).data.image_normalisation == "symmetric"


def test_own_images_are_trained_with_a_recipe_unless_something_else_is_asked_for(tmp_path):
    settings = compose({"dataset": "folder"})
    assert (settings.run.recipe, settings.model.model, settings.training.optimiser) == (
        "folder-fast", "unet_compact", "adamw")
    assert compose({"dataset": "folder", "augment": False, "max_steps": 9}).training.max_steps == 9
    for asked in ({"model": "unet"}, {"recipe": write_recipe(tmp_path / "r.yaml", max_steps=9)}):
        other = compose({"dataset": "folder", **asked})
        assert (other.run.recipe, other.training.optimiser) == (asked.get("recipe"), "adam")
    assert compose({"dataset": "sstem"}).run.recipe is None
    assert compose({"dataset": "folder", "exec_mode": "import", "weights": "w.pth"}).run.recipe is None
    directory = saved_run(tmp_path / "run", dataset="folder", model="unet")
    assert compose({"exec_mode": "predict", "model_dir": directory}).run.recipe is None


def test_a_budget_leaves_steps_and_schedule_open_until_it_is_measured(tmp_path):
    training = compose({"train_minutes": 2.5, "recipe": "stare-fast"}).training
    assert training.undecided and training.learning_rate_decay_steps is None
    recipe = write_recipe(tmp_path / "r.yaml", train_minutes=3.0)
    assert compose({"recipe": recipe}).training.undecided
    assert not compose({"recipe": recipe, "max_steps": 7}).training.undecided


def test_a_budget_that_was_measured_stays(tmp_path):
    directory = str(tmp_path)
    begun = compose({"train_minutes": 2.0, "model_dir": directory})
    save_settings(with_values(begun, max_steps=40, budget_steps=40, learning_rate_decay_steps=40), directory)
    training = compose({"resume_training": True, "model_dir": directory}).training
    assert (training.undecided, training.max_steps, training.learning_rate_decay_steps) == (False, 40, 40)
    assert compose({"resume_training": True, "model_dir": directory, "max_steps": 50}).training.max_steps == 50
    with pytest.raises(UserError, match=r"--train_minutes 3.0 \(the run has 2.0\)"):
        compose({"resume_training": True, "model_dir": directory, "train_minutes": 3.0})


def test_a_run_that_has_begun_gets_no_other_budget(tmp_path):
    """Meant or not: its steps are decided."""
    decided = dict(train_minutes=2.0, max_steps=40, budget_steps=40)
    for name, values in (("steps", {"max_steps": 40}), ("minutes", decided)):
        directory = saved_run(tmp_path / name, **values)
        resumed = {"resume_training": True, "resume_with_changes": True, "model_dir": directory}
        with pytest.raises(UserError, match="--train_minutes 3 for a run that has begun, of 40 steps"):
            compose({**resumed, "train_minutes": 3.0})
        with pytest.raises(UserError, match="--train_minutes 3.0 with --exec_mode evaluate"):
            compose({"exec_mode": "evaluate", "model_dir": directory, "train_minutes": 3.0})
    assert compose({"exec_mode": "evaluate", "model_dir": directory, "train_minutes": 2.0}).evaluates
    assert compose({**resumed, "train_minutes": 2.0, "max_steps": 60}).training.max_steps == 60


@pytest.mark.parametrize("by_recipe", [True, False])
def test_the_budget_of_a_run_that_was_brought_in_is_open_until_it_is_trained(tmp_path, by_recipe):
    minutes = {"train_minutes": 3.0}
    recipe = write_recipe(tmp_path / "r.yaml", **(minutes if by_recipe else {"filters": 2}))
    directory = str(tmp_path / "run")
    brought_in = compose({"exec_mode": "import", "weights": "w.pth", "recipe": recipe, "model_dir": directory,
                          **({} if by_recipe else minutes)})
    save_settings(brought_in, directory)
    resumed = {"resume_training": True, "model_dir": directory}
    assert compose(resumed).training.undecided
    assert compose({**resumed, **minutes}).training.undecided
    training = compose({**resumed, "resume_with_changes": True, "train_minutes": 5.0}).training
    assert (training.undecided, training.train_minutes) == (True, 5.0)
    training = compose({**resumed, "max_steps": 7}).training
    assert (training.undecided, training.train_minutes, training.max_steps) == (False, None, 7)
    with pytest.raises(UserError, match="--train_minutes 3 and --max_steps 7 together"):
        compose({**resumed, **minutes, "max_steps": 7})


def test_a_run_keeps_the_defaults_it_began_with(tmp_path):
    directory = saved_run(tmp_path / "run", dataset="folder", image_normalisation="symmetric")
    assert compose({"exec_mode": "predict", "model_dir": directory}).data.image_normalisation == "symmetric"


def test_a_recipes_switch_can_be_taken_back():
    assert compose({"recipe": "sstem-unet"}).data.augment
    assert not compose({"recipe": "sstem-unet", "augment": False}).data.augment


@pytest.mark.parametrize("ranks, batch, steps", [(1, 8, 6400), (8, 64, 800)])
def test_the_ssTEM_recipe_divides_its_steps_as_the_published_runs_did(ranks, batch, steps):
    training = compose({"recipe": "sstem-unet"}, ranks).training
    assert (training.batch_size, training.global_batch_size, training.max_steps) == (8, batch, steps)


@pytest.mark.parametrize("values, words", [
    ({"step_rule": "divide", "max_steps": "lots"}, "max_steps: 'lots'"), ({True: 1}, "unknown setting 'True'")])
def test_a_setting_of_a_recipe_that_is_none_is_told(tmp_path, values, words):
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"settings": values}))
    with pytest.raises(UserError, match=words):
        compose({"recipe": str(tmp_path / "r.yaml")})


def test_steps_given_as_a_flag_are_optimiser_steps():
    assert compose({"recipe": "sstem-unet", "max_steps": 100}, 8).training.max_steps == 100


@pytest.mark.parametrize("ranks, per_device", [(1, 16), (2, 8), (16, 1)])
def test_a_recipes_global_batch_is_split_and_its_steps_stay(tmp_path, ranks, per_device):
    recipe = write_recipe(tmp_path / "r.yaml", global_batch_size=16, max_steps=2500)
    training = compose({"recipe": recipe}, ranks).training
    assert (training.batch_size, training.global_batch_size, training.max_steps) == (per_device, 16, 2500)


def test_a_batch_flag_is_per_device(tmp_path):
    recipe = write_recipe(tmp_path / "r.yaml", global_batch_size=16)
    training = compose({"recipe": recipe, "batch_size": 3}, 4).training
    assert (training.batch_size, training.global_batch_size) == (3, 12)


def test_a_batch_that_does_not_split_is_an_error(tmp_path):
    with pytest.raises(UserError, match="16 images on 3 ranks"):
        compose({"recipe": write_recipe(tmp_path / "r.yaml", global_batch_size=16)}, 3)


def test_an_unknown_key_in_a_recipe_names_the_nearest(tmp_path):
    with pytest.raises(UserError, match="'max_steps'"):
        compose({"recipe": write_recipe(tmp_path / "r.yaml", max_stepz=1)})


@pytest.mark.parametrize("flags, words", [
    ({"resume_training": True, "overwrite": True}, "one of them"),
    ({"benchmark": True, "crossvalidation_idx": "all"}, "one fold, or none"),
    ({"benchmark": True, "max_steps": 200}, "nothing to measure"),
    ({"benchmark": True, "train_minutes": 1.0}, "--max_steps instead"),
    ({"train_minutes": 1.0, "max_steps": 200}, "leave one out"),
    ({"benchmark": True, "exec_mode": "train_and_evaluate", "crossvalidation_idx": 0}, "train or predict"),
])
def test_a_combination_without_sense_is_found_at_once(tmp_path, flags, words):
    directory = saved_run(tmp_path / "run", crossvalidation_idx=0) if "resume_training" in flags else str(tmp_path)
    with pytest.raises(UserError) as caught:
        compose(dict(flags, model_dir=directory))
    assert words in str(caught.value)


def test_evaluate_takes_what_the_run_is_from_the_run(tmp_path):
    directory = saved_run(tmp_path / "run", crossvalidation_idx=2, seed=9, weight_decay=0.25)
    settings = compose({"exec_mode": "evaluate", "model_dir": directory})
    assert (settings.data.crossvalidation_idx, settings.training.seed, settings.training.weight_decay) == (2, 9, 0.25)
    assert settings.run.exec_mode == "evaluate"


def test_a_contradicting_flag_names_both_values(tmp_path):
    directory = saved_run(tmp_path / "run", crossvalidation_idx=2, seed=9)
    with pytest.raises(UserError) as caught:
        compose({"exec_mode": "evaluate", "model_dir": directory, "seed": 1, "crossvalidation_idx": 2})
    assert "--seed 1 (the run has 9)" in str(caught.value)
    assert "crossvalidation_idx" not in str(caught.value)


def test_how_it_was_trained_is_free_for_predict_and_fixed_for_resume(tmp_path):
    directory = saved_run(tmp_path / "run", learning_rate=0.5)
    assert compose({"exec_mode": "predict", "model_dir": directory, "batch_size": 4}).training.batch_size == 4
    with pytest.raises(UserError, match=r"--learning_rate 0.25 \(the run has 0.5\)"):
        compose({"resume_training": True, "model_dir": directory, "learning_rate": 0.25})


def test_resume_may_go_further_and_keeps_the_batch(tmp_path):
    directory = saved_run(tmp_path / "run", batch_size=3, max_steps=10)
    training = compose({"resume_training": True, "model_dir": directory, "max_steps": 20}).training
    assert (training.max_steps, training.global_batch_size) == (20, 3)


def test_operational_values_may_be_given_anew(tmp_path):
    directory = saved_run(tmp_path / "run", use_amp=True)
    assert not compose({"exec_mode": "predict", "model_dir": directory, "use_amp": False}).device.use_amp


def test_what_concerns_one_command_is_not_saved(tmp_path):
    directory = saved_run(tmp_path / "run", overwrite=True, debug=True)
    saved = load_settings(directory)
    assert {"exec_mode", "overwrite", "debug", "model_dir", "benchmark"}.isdisjoint(saved)


def test_a_recipe_file_means_the_same_from_every_directory(tmp_path, monkeypatch):
    write_recipe(tmp_path / "r.yaml", seed=3)
    monkeypatch.chdir(tmp_path)
    assert compose({"recipe": "r.yaml"}).run.recipe == str(tmp_path / "r.yaml")
    assert compose({"recipe": "sstem-unet"}).run.recipe == "sstem-unet"


@pytest.mark.parametrize("name, value", [("exec_mode", "predict"), ("model_dir", "there"), ("overwrite", True)])
def test_a_recipe_may_not_say_what_a_command_does(tmp_path, name, value):
    with pytest.raises(UserError, match=name):
        compose({"recipe": write_recipe(tmp_path / "r.yaml", **{name: value})})


@pytest.mark.parametrize("text, words", [(None, "no run there"), ("{", "as JSON"), ("[]", "as a JSON object")])
def test_a_directory_without_a_readable_run_is_named(tmp_path, text, words):
    if text is not None:
        (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(UserError) as caught:
        compose({"exec_mode": "predict", "model_dir": str(tmp_path)})
    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_settings_of_a_later_version_name_the_key(tmp_path):
    (tmp_path / FILE_NAME).write_text('{"colour": 1}')
    with pytest.raises(UserError, match="colour"):
        compose({"exec_mode": "predict", "model_dir": str(tmp_path)})


@pytest.mark.parametrize("given, words", [
    ({"exec_mode": "train"}, "--stream without --input"),
    ({"exec_mode": "evaluate", "input": ("images",), "output": "scores"}, "--stream with --exec_mode evaluate")])
def test_to_stream_is_said_of_given_images_that_are_predicted(tmp_path, given, words):
    directory = saved_run(tmp_path / "run")
    with pytest.raises(UserError, match=words):
        compose({"stream": True, "model_dir": directory if "input" in given else str(tmp_path), **given})


def test_weights_are_brought_into_a_run_that_begins(tmp_path):
    given = {"exec_mode": "import", "weights": "w.pth", "model_dir": saved_run(tmp_path / "run")}
    with pytest.raises(UserError, match="--exec_mode import with --resume_training"):
        compose({**given, "resume_training": True})


@pytest.mark.parametrize("name", ["lr[1e-4]", "back\\slash"])
def test_a_place_that_checkpoints_could_not_be_read_from_is_refused(name):
    """TensorFlow takes their names for patterns."""
    with pytest.raises(UserError, match="in its path") as caught:
        compose({"model_dir": f"runs/{name}"})
    assert "another --model_dir" in caught.value.repair
    compose({"model_dir": name, "benchmark": True, "max_steps": 300})
    compose({"model_dir": "runs/a*b?{c}"})


@pytest.mark.parametrize("names, refused", [
    (("fold_0", "fold_2", "fold_2.1"), True), (("fold_2.1/", "./fold_2"), True), (("fold_0", "fold_2.1"), False),
    (("v1", "v1.x"), False)])
def test_a_run_that_was_moved_aside_is_no_member_beside_the_one_in_its_place(tmp_path, monkeypatch, names, refused):
    monkeypatch.chdir(tmp_path)
    for name in names:
        saved_run(tmp_path / name)
    flags = {"exec_mode": "predict", "ensemble": names, "output": "out"}
    if refused:
        with pytest.raises(UserError, match=r"--ensemble fold_2\.1 and fold_2\n"):
            compose_members(flags)
    else:
        assert [member.run.model_dir for member in compose_members(flags)] == list(names)
