"""The command line."""

from __future__ import annotations

import pytest

from runtime.settings.flags import invocation_words, parse_flags, words_of
from runtime.settings.saved import save_settings
from runtime.settings.tree import fields, settings_from
from utils.commands import command_words
from utils.errors import UserError

# The command line is a promise: a flag that comes, goes or changes its default is a decision, made here too.
FROZEN = {
    "exec_mode": "train", "recipe": None, "model_dir": "./results", "log_dir": None, "resume_training": False,
    "resume_with_changes": False, "overwrite": False, "weights": None,
    "checkpoint": "newest", "compare_levels": False, "output": None, "debug": False, "dataset": "sstem",
    "data_dir": None, "crossvalidation_idx": None, "split_rule": "partition",
    "group_by": None, "class_id": None, "train_on": "defective",
    "validation_fraction": 0.0, "fov": False, "augment": False, "inference": "slide", "window_size": None,
    "blending": "uniform", "tta": "none", "tta_scales": (), "model": "unet",
    "normalisation": "none", "deep_supervision": False, "pruning_level": None, "head_mode": "accurate",
    "sync_batch_norm": True, "dice_version": "published", "threshold": None,
    "extended_scores": None,
    "max_steps": 1000, "train_minutes": None,
    "batch_size": 1, "learning_rate": 0.0001, "weight_decay": 0.0005, "skip_loss_spikes": False,
    "seed": 0, "log_every": 100, "save_checkpoints_steps": None,
    "save_checkpoints_minutes": None, "keep_checkpoint_max": 3, "evaluate_every": None,
    "best_metric": "eval_dice_score", "early_stopping_patience": None, "device": "auto", "use_amp": False,
    "loss_scale": None, "use_xla": False, "deterministic": False, "kernel_gradient": "measured",
    "iterations_per_loop": 1,
    "precision_mode": None, "profiling": None, "over_dump": None, "data_dump": None, "data_dump_step": "10",
    "input": (), "ensemble": (), "stream": False, "save_probabilities": True, "overlays": False,
    "error_pictures": False, "benchmark": False, "warmup_steps": 200,
    "devices": None, "server_ip": None, "device_ips": None, "table_format": "new",
    "table": None, "format": ("saved_model",),
}


def test_the_flags_and_their_defaults_are_frozen():
    assert {field.name: field.default for field in fields() if field.option.flag} == FROZEN


def test_only_what_was_given_is_returned():
    assert parse_flags([]) == {}
    assert parse_flags(["--max_steps", "5", "--augment"]) == {"max_steps": 5, "augment": True}


def test_a_flag_of_several_values_takes_them_until_the_next():
    assert parse_flags(["--input", "a b.png", "c/*.tif", "--overlays"]) == {"input": ["a b.png", "c/*.tif"],
                                                                            "overlays": True}


def test_every_flag_is_accepted_in_both_spellings():
    assert parse_flags(["--max_steps=5"]) == parse_flags(["--max_steps", "5"])


@pytest.mark.parametrize("flag, name", [("--amp", "use_amp"), ("--use_amp", "use_amp"), ("--xla", "use_xla")])
def test_short_forms(flag, name):
    assert parse_flags([flag]) == {name: True}


@pytest.mark.parametrize("flag, name", [("--no-augment", "augment"), ("--no-amp", "use_amp"), ("--no-xla", "use_xla")])
def test_a_switch_can_be_taken_back(flag, name):
    assert parse_flags([flag]) == {name: False}


@pytest.mark.parametrize("text, fold", [("0", 0), ("4", 4), ("all", "all"), ("9", 9)])
def test_a_fold_is_a_number_or_all(text, fold):
    assert parse_flags(["--crossvalidation_idx", text]) == {"crossvalidation_idx": fold}


@pytest.mark.parametrize("arguments, words", [
    (["--exe_mode", "train"], "--exec_mode"),
    (["--max-steps", "5"], "--max_steps"),
    (["--max_step", "5"], "--max_steps"),
    (["--crossvalidation_idx", "one"], "from 0 to 4"),
    (["--max_steps", "many"], "type int"),
    (["--learning_rate", "fast"], "type float"),
    (["--max_steps"], "expected one argument"),
    (["--input"], "expected at least one argument"),
    (["stray"], "stray"),
])
def test_a_wrong_flag_is_named_with_its_repair(arguments, words):
    with pytest.raises(UserError) as caught:
        parse_flags(arguments)
    assert words in str(caught.value)


def test_help_is_grouped_and_names_every_flag(capsys):
    with pytest.raises(SystemExit) as caught:
        parse_flags(["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(f"--{name}" in text for name in FROZEN)
    assert [line for line in text.splitlines() if line in ("Run:", "Data:", "Network:", "Training:", "Benchmark:")] == [
        "Run:", "Data:", "Network:", "Training:", "Benchmark:"]


def test_what_no_run_keeps_is_said_again():
    settings = settings_from({"model_dir": "here", "overwrite": True, "seed": 5, "output": "a b", "overlays": True,
                              "save_probabilities": False, "input": ("x", "y")})
    assert invocation_words(settings, ("model_dir", "overwrite")) == [
        "--output", "a b", "--input", "x", "y", "--no-save_probabilities", "--overlays"]


def test_what_a_run_keeps_and_a_command_does_without_cannot_be_said(tmp_path):
    save_settings(settings_from({"precision_mode": "force_fp32", "seed": 5}), str(tmp_path))
    settings = settings_from({"model_dir": str(tmp_path), "exec_mode": "predict", "seed": 5})
    assert words_of(settings) == [*command_words(), "--exec_mode", "predict", "--model_dir", str(tmp_path)]


def test_what_one_run_of_several_keeps_is_said_for_the_others(tmp_path):
    """The first was trained with windows, the second is asked for them."""
    members = []
    for name, inference in (("a", "slide"), ("b", "whole")):
        directory = str(tmp_path / name)
        save_settings(settings_from({"inference": inference, "seed": len(members), "model_dir": directory}), directory)
        members.append(settings_from({"inference": "slide", "seed": len(members), "model_dir": directory,
                                      "exec_mode": "predict"}))
    words = words_of(*members)
    assert words[words.index("--inference") + 1] == "slide" and "--seed" not in words
    assert "--inference" not in words_of(members[0])
