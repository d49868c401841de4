"""Flags without effect are refused; what recipes and runs say is left alone."""

from __future__ import annotations

import pytest

from runtime.settings.compose import compose, compose_members
from utils.errors import UserError

from ...conftest import write_recipe
from .test_compose import saved_run


@pytest.mark.parametrize("flags, words", [
    ({"exec_mode": "train_and_evaluate", "inference": "slide"}, "--inference slide with the feeding resize_to_window"),
    ({"window_size": 64}, "--window_size 64 with the feeding resize_to_window"),
    ({"recipe": "sstem-unet", "blending": "gaussian"}, "--blending gaussian with the feeding resize_to_window"),
    ({"checkpoint": "best"}, "--checkpoint best with --exec_mode train"),
    ({"benchmark": True, "exec_mode": "predict", "max_steps": 300, "checkpoint": "best"},
     "--checkpoint best with --benchmark predict"),
    ({"overlays": True}, "--overlays with --exec_mode train"),
    ({"exec_mode": "train_and_evaluate", "save_probabilities": False},
     "--no-save_probabilities with --exec_mode train_and_evaluate"),
    ({"benchmark": True, "exec_mode": "predict", "max_steps": 300, "overlays": True},
     "--overlays with --benchmark predict"),
    ({"exec_mode": "train_and_predict", "error_pictures": True}, "--error_pictures with --exec_mode train_and_predict"),
    ({"output": "here"}, "--output with --exec_mode train"),
    ({"benchmark": True, "max_steps": 300, "resume_training": True}, "--resume_training with --benchmark train"),
    ({"warmup_steps": 10}, "--warmup_steps 10 with --exec_mode train"),
    ({"format": ["onnx", "tflite"]}, "--format onnx tflite with --exec_mode train"),
    ({"devices": "0,1", "table": "there.json"}, "--devices 0,1, --table there.json with --exec_mode train"),
    ({"data_dump_step": "5"}, "--data_dump_step 5 with no --data_dump"),
    ({"best_metric": "mDice"}, "--best_metric mDice with --exec_mode train and no --evaluate_every"),
    ({"model": "unetpp", "head_mode": "fast"}, "--head_mode fast with the network unetpp without deep supervision"),
    ({"dataset": "drive", "fov": True}, "--fov with the objective cross_entropy_dice"),
    ({"recipe": "stare-fast", "blending": "gaussian"}, "--blending gaussian with --inference whole"),
    ({"exec_mode": "rank_table", "devices": "0-7", "server_ip": "10.0.0.1", "max_steps": 7},
     "--max_steps 7 with --exec_mode rank_table"),
    ({"benchmark": True, "exec_mode": "predict", "max_steps": 300, "learning_rate": 0.1, "log_every": 7},
     "--learning_rate 0.1, --log_every 7 with --benchmark predict"),
    ({"dice_version": "1.2.2"}, "--dice_version 1.2.2 with the objective cross_entropy_dice"),
    ({"recipe": "drive-fcn", "dice_version": "published"}, "the objective semantic without a Dice loss"),
])
def test_a_flag_without_effect_is_refused(tmp_path, flags, words):
    with pytest.raises(UserError) as caught:
        compose({**flags, "model_dir": str(tmp_path)})
    found = " ".join(caught.value.found.replace(" here", "").split())
    assert words in found
    named = [word for word in found.split(" with ")[0].split() if word.startswith("--")]
    assert caught.value.repair == f"leave {', '.join(named)} out"


@pytest.mark.parametrize("flags", [
    {"recipe": "sstem-fast", "inference": "slide", "window_size": 128, "blending": "gaussian"},
    {"checkpoint": "newest", "overlays": False, "save_probabilities": True, "error_pictures": False},
    {"exec_mode": "train_and_evaluate", "checkpoint": "best", "error_pictures": True},
    {"exec_mode": "train_and_predict", "checkpoint": "best", "overlays": True, "save_probabilities": False,
     "output": "here"},
    {"benchmark": True, "max_steps": 300, "resume_training": False},
    {"recipe": "drive-fcn-dice", "dice_version": "1.2.2"},
    {"recipe": "drive-fcn", "fov": True}, {"recipe": "drive-fast", "fov": True},
    {"dataset": "drive", "fov": True, "extended_scores": "vessels"},
    {"evaluate_every": 10, "best_metric": "mDice"}, {"data_dump": "there", "data_dump_step": "5"},
    {"benchmark": True, "max_steps": 300, "warmup_steps": 10},
    {"exec_mode": "train_and_predict", "max_steps": 7, "learning_rate": 0.1, "resume_training": False},
])
def test_one_with_an_effect_or_as_it_is_anyway_is_not(tmp_path, flags):
    compose({**flags, "model_dir": str(tmp_path)})


@pytest.mark.parametrize("flags, words", [
    ({"exec_mode": "evaluate", "max_steps": 800}, "--max_steps 800 with --exec_mode evaluate"),
    ({"exec_mode": "predict", "augment": True, "weight_decay": 0.1},
     "--weight_decay 0.1, --augment with --exec_mode predict"),
    ({"exec_mode": "predict", "resume_training": True}, "--resume_training with --exec_mode predict"),
    ({"exec_mode": "predict", "format": ("onnx",)}, "--format onnx with --exec_mode predict"),
    ({"exec_mode": "export", "device": "gpu"}, "--device gpu with --exec_mode export"),
    ({"exec_mode": "export", "use_amp": True}, "--use_amp with --exec_mode export"),
])
def test_so_is_one_that_a_run_that_is_there_does_not_heed(tmp_path, flags, words):
    directory = saved_run(tmp_path / "run", max_steps=500)
    with pytest.raises(UserError) as caught:
        compose({**flags, "model_dir": directory})
    assert caught.value.found == words


@pytest.mark.parametrize("mode", ["evaluate", "predict", "export"])
def test_a_command_for_training_whose_mode_was_changed_is_not(tmp_path, mode):
    trained = dict(max_steps=500, learning_rate=0.01, augment=True, evaluate_every=100, best_metric="eval_dice_score",
                   use_amp=True, log_every=7)
    directory = saved_run(tmp_path / "run", **trained)
    assert compose({"exec_mode": mode, "model_dir": directory, **trained}).training.max_steps == 500
    with pytest.raises(UserError, match="^--max_steps 501 with"):
        compose({"exec_mode": mode, "model_dir": directory, **trained, "max_steps": 501})


def test_what_recipes_and_runs_say_counts_as_nothing_asked_for(tmp_path):
    said = {"inference": "whole", "window_size": 64, "blending": "gaussian", "dice_version": "1.2.2"}
    settings = compose({"recipe": write_recipe(tmp_path / "r.yaml", **said)})
    assert (settings.data.inference, settings.data.feeding) == ("whole", "resize_to_window")
    directory = saved_run(tmp_path / "run", recipe=write_recipe(tmp_path / "r.yaml", **said))
    assert compose({"exec_mode": "evaluate", "model_dir": directory}).data.blending == "gaussian"


def test_of_several_runs_that_predict_together_one_must_heed_a_flag(tmp_path):
    crops = saved_run(tmp_path / "crops", recipe="sstem-fast")
    scaled = saved_run(tmp_path / "scaled", recipe="sstem-unet")
    given = {"exec_mode": "predict", "window_size": 128, "output": str(tmp_path / "found")}
    for members in ((crops, scaled), (scaled, crops)):
        flags = {**given, "ensemble": members}
        compose(flags)
        assert [member.data.window_size for member in compose_members(flags)] == [128, 128]
    with pytest.raises(UserError, match=f"the feeding resize_to_window of {scaled}"):
        compose_members({**given, "ensemble": (scaled, scaled)})
