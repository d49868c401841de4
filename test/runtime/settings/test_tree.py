"""The settings tree."""

from __future__ import annotations

import os

import pytest

from runtime.settings import tree
from runtime.settings.tree import Settings, default_model_dir, fields, settings_from, with_values
from utils.errors import UserError


def test_names_are_unique_over_the_groups():
    names = [field.name for field in fields()]
    assert len(names) == len(set(names))


def test_every_field_says_what_it_is():
    assert all(field.option.help for field in fields())


def test_no_values_give_the_defaults():
    assert settings_from({}) == Settings()


def test_values_go_where_they_belong():
    settings = settings_from({"max_steps": 7, "filters": 3, "crossvalidation_idx": "all"})
    assert (settings.training.max_steps, settings.model.filters, settings.data.crossvalidation_idx) == (7, 3, "all")


def test_values_and_settings_from_are_inverse():
    settings = settings_from({"seed": 5, "use_amp": True, "data_dir": "x"})
    assert settings_from(settings.values()) == settings


def test_with_values_leaves_the_original_alone():
    settings = Settings()
    assert with_values(settings, seed=3).training.seed == 3
    assert settings.training.seed == 0


def test_a_whole_number_is_a_float_where_one_is_wanted():
    assert isinstance(settings_from({"learning_rate": 1}).training.learning_rate, float)


def test_several_values_are_a_tuple_also_from_json():
    assert settings_from({"input": ["a", "b"]}).prediction.input == ("a", "b")


@pytest.mark.parametrize("name, value, words", [
    ("input", "a", "a list"), ("input", [1], "type str"),
    ("max_step", 5, "max_steps"),
    ("max_steps", 0, "not below 1"),
    ("batch_size", -1, "not below 1"),
    ("learning_rate", 0.0, "above 0"),
    ("learning_rate", float("nan"), "above 0"),
    ("learning_rate", float("inf"), "finite"),
    ("weight_decay", -0.1, "not below 0"),
    ("train_minutes", 1e300, "not above 525600"),
    ("seed", 2 ** 31, "from 0 to"),
    ("crossvalidation_idx", 5, "from 0 to 4"),
    ("crossvalidation_idx", -1, "from 0 to 4"),
    ("crossvalidation_idx", "some", "from 0 to 4"),
    ("exec_mode", "trian", "'train'"),
    ("model", "unnet", "'unet'"),
    ("split_rule", "nvida", "'nvidia'"),
    ("max_steps", "5", "type int"),
    ("max_steps", 5.5, "type int"),
    ("max_steps", True, "type int"),
    ("augment", 1, "type bool"),
    ("recipe", 3, "type str"),
    ("max_steps", None, "type int"),
])
def test_a_wrong_value_names_what_was_expected(name, value, words):
    with pytest.raises(UserError) as caught:
        settings_from({name: value})
    assert words in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize("mode, trains, evaluates, predicts", [
    ("train", True, False, False), ("evaluate", False, True, False), ("predict", False, False, True),
    ("train_and_evaluate", True, True, False), ("train_and_predict", True, False, True),
])
def test_what_an_exec_mode_does(mode, trains, evaluates, predicts):
    settings = settings_from({"exec_mode": mode})
    assert (settings.trains, settings.evaluates, settings.predicts) == (trains, evaluates, predicts)


@pytest.mark.parametrize("schedule, end, still", [("one_cycle", 0.0, 7), ("cosine", 0.0, 7), ("poly", 0.0, 7),
                                                  ("poly", 1e-4, None), ("staircase", 0.0, None)])
def test_where_nothing_is_learnt_any_more(schedule, end, still):
    found = settings_from({"learning_rate_schedule": schedule, "learning_rate_end": end, "max_steps": 9,
                           "learning_rate_decay_steps": 7})
    assert found.training.standstill == still


def test_which_commands_build_on_a_saved_run():
    assert settings_from({"exec_mode": "predict"}).reads_run
    assert settings_from({"exec_mode": "train", "resume_training": True}).reads_run
    assert not settings_from({"exec_mode": "train"}).reads_run
    assert not settings_from({"exec_mode": "predict", "benchmark": True}).reads_run


@pytest.mark.parametrize("exists, writable, expected", [
    (True, True, "/results"), (True, False, "./results"), (False, False, "./results")])
def test_the_container_has_its_own_default_directory(monkeypatch, exists, writable, expected):
    monkeypatch.setattr(tree.os.path, "isdir", lambda path: exists and path == os.sep + "results")
    monkeypatch.setattr(tree.os, "access", lambda path, mode: writable)
    assert default_model_dir() == expected
