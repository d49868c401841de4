"""Recipes."""

from __future__ import annotations

import pytest

from runtime.settings.recipes import Recipe, all_recipes, canonical_recipe, load_recipe, recipe_names
from runtime.settings.tree import settings_from
from utils.errors import UserError


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_legal_and_says_what_to_expect(name):
    recipe = load_recipe(name)
    settings_from(recipe.settings)
    assert recipe.title
    assert recipe.source
    # Nobody has published scores of people's own images, or of a first look.
    assert recipe.expect or recipe.settings["dataset"] == "folder" or name == "sstem-quarter-unet"


def test_the_ssTEM_recipe_carries_what_was_published():
    settings = load_recipe("sstem-unet").settings
    assert settings == {"model": "unet", "dataset": "sstem", "max_steps": 6400, "batch_size": 8, "step_rule": "divide",
                        "learning_rate": 1e-4, "weight_decay": 0.0, "augment": True, "use_xla": True}
    assert load_recipe("sstem-unet").expect["8x A100 40GB mixed precision"] == 0.8942


def test_the_DAGM2007_recipe_carries_what_was_published_for_each_class():
    by_class = load_recipe("dagm2007-tinyunet").expect["class_id"]
    assert list(by_class) == list(range(1, 11))
    headline = [figures["V100 FP32 (19.03 container)"]["IoU_THS_0.99"] for figures in by_class.values()]
    assert headline == [0.969, 0.976, 0.979, 0.967, 0.992, 0.983, 0.981, 0.970, 0.988, 0.981]
    for figures in by_class.values():
        for scores in figures.values():
            assert len(scores) == 6 and all(0.9 < score <= 1 for score in scores.values())


@pytest.mark.parametrize("name, close", [
    ("sstem-unt", "'sstem-unet'"), ("drive_fcn", "'drive-fcn' or "), ("configs/unet/drive-fnc.py", "'drive-fcn' or "),
    ("elsewhere/stare-fcn.yaml", "'stare-fcn' or "), ("0123456789", "look there")])
def test_an_unknown_recipe_names_the_nearest_alone(name, close):
    with pytest.raises(UserError) as caught:
        load_recipe(name)
    assert caught.value.found == f"unknown recipe {name!r}"
    assert close in caught.value.repair and "recipes/" in caught.value.expected
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("path", ["configs/unet/{}.py", "/anywhere/{}.py", "{}.py"])
@pytest.mark.parametrize("name", ["unet-s5-d16_fcn_4xb4-40k_drive-64x64", "fcn_unet_s5-d16_64x64_40k_drive"])
def test_a_configuration_file_means_its_name(path, name):
    assert canonical_recipe(path.format(name)) == "unet-s5-d16_fcn_4xb4-40k_drive-64x64"
    assert load_recipe(path.format(name)) == load_recipe("drive-fcn")


@pytest.mark.parametrize("text, words", [
    ("[1, 2]", "no settings"), ("title: x", "no settings"), ("settings: {a: [}", "YAML"), ("\x00", "YAML"),
    ("settings: {}\nsetings: {}", "'settings'"), ("settings: !!python/object/apply:os.system [ls]", "YAML"),
])
def test_a_broken_file_is_named(tmp_path, text, words):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_recipe(str(path))
    assert words in str(caught.value)
    assert "mine.yaml" in str(caught.value)


def test_a_missing_file_is_an_unknown_recipe(tmp_path):
    with pytest.raises(UserError, match="unknown recipe"):
        load_recipe(str(tmp_path / "none.yaml"))


# The published page, row by row: data set, head, Dice loss or not, mDice (of Cityscapes mIoU), Dice of vessels (of
# Cityscapes mIoU with scales and flips). Every value that a recipe resolves to follows from these and the table below.
PUBLISHED = """
cityscapes fcn ce 69.10 71.05 unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024
drive fcn ce 88.38 78.67 unet-s5-d16_fcn_4xb4-40k_drive-64x64
drive fcn dice 88.71 79.32 unet-s5-d16_fcn_4xb4-ce-1.0-dice-3.0-40k_drive-64x64
drive pspnet ce 88.35 78.62 unet-s5-d16_pspnet_4xb4-40k_drive-64x64
drive pspnet dice 88.76 79.42 unet-s5-d16_pspnet_4xb4-ce-1.0-dice-3.0-40k_drive-64x64
drive deeplabv3 ce 88.38 78.69 unet-s5-d16_deeplabv3_4xb4-40k_drive-64x64
drive deeplabv3 dice 88.84 79.56 unet-s5-d16_deeplabv3_4xb4-ce-1.0-dice-3.0-40k_drive-64x64
stare fcn ce 89.78 81.02 unet-s5-d16_fcn_4xb4-40k_stare-128x128
stare fcn dice 90.65 82.70 unet-s5-d16_fcn_4xb4-ce-1.0-dice-3.0-40k_stare-128x128
stare pspnet ce 89.89 81.22 unet-s5-d16_pspnet_4xb4-40k_stare-128x128
stare pspnet dice 90.72 82.84 unet-s5-d16_pspnet_4xb4-ce-1.0-dice-3.0-40k_stare-128x128
stare deeplabv3 ce 89.73 80.93 unet-s5-d16_deeplabv3_4xb4-40k_stare-128x128
stare deeplabv3 dice 90.65 82.71 unet-s5-d16_deeplabv3_4xb4-ce-1.0-dice-3.0-40k_stare-128x128
chase_db1 fcn ce 89.46 80.24 unet-s5-d16_fcn_4xb4-40k_chase-db1-128x128
chase_db1 fcn dice 89.52 80.40 unet-s5-d16_fcn_4xb4-ce-1.0-dice-3.0-40k_chase-db1-128x128
chase_db1 pspnet ce 89.52 80.36 unet-s5-d16_pspnet_4xb4-40k_chase-db1-128x128
chase_db1 pspnet dice 89.45 80.28 unet-s5-d16_pspnet_4xb4-ce-1.0-dice-3.0-40k_chase-db1-128x128
chase_db1 deeplabv3 ce 89.57 80.47 unet_s5-d16_deeplabv3_4xb4-40k_chase-db1-128x128
chase_db1 deeplabv3 dice 89.49 80.37 unet-s5-d16_deeplabv3_4xb4-ce-1.0-dice-3.0-40k_chase-db1-128x128
hrf fcn ce 88.92 79.45 unet-s5-d16_fcn_4xb4-40k_hrf-256x256
hrf fcn dice 89.64 80.87 unet-s5-d16_fcn_4xb4-ce-1.0-dice-3.0-40k_hrf-256x256
hrf pspnet ce 89.24 80.07 unet-s5-d16_pspnet_4xb4-40k_hrf-256x256
hrf pspnet dice 89.69 80.96 unet-s5-d16_pspnet_4xb4-ce-1.0-dice-3.0-40k_hrf-256x256
hrf deeplabv3 ce 89.32 80.21 unet-s5-d16_deeplabv3_4xb4-40k_hrf-256x256
hrf deeplabv3 dice 89.56 80.71 unet-s5-d16_deeplabv3_4xb4-ce-1.0-dice-3.0-40k_hrf-256x256
""".strip().splitlines()

# Crop height and width, stride of the windows, steps, steps between checkpoints.
BY_DATA = {"cityscapes": (512, 1024, None, 160000, 16000), "drive": (64, 64, 42, 40000, 4000),
           "stare": (128, 128, 85, 40000, 4000), "chase_db1": (128, 128, 85, 40000, 4000),
           "hrf": (256, 256, 170, 40000, 4000)}
SHARED = {"model": "unet_s5_d16", "feeding": "native_crops", "image_normalisation": "imagenet", "objective": "semantic",
          "auxiliary_weight": 0.4, "augment": True, "augmentation": "photometric", "scale_minimum": 0.5,
          "scale_maximum": 2.0, "largest_class_share": 0.75, "global_batch_size": 16, "optimiser": "momentum",
          "momentum": 0.9, "learning_rate": 0.01, "learning_rate_schedule": "poly", "learning_rate_end": 0.0001,
          "learning_rate_power": 0.9, "weight_decay": 0.0005, "weight_decay_scope": "all"}


@pytest.mark.parametrize("row", PUBLISHED)
def test_each_published_configuration_is_a_recipe(row):
    dataset, head, loss, first, second, name = row.split()
    recipe = load_recipe(name)
    height, width, stride, steps, saved = BY_DATA[dataset]
    whole = dataset == "cityscapes"
    expected = dict(SHARED, dataset=dataset, decode_head=head, dice_weight=3.0 if loss == "dice" else 0.0,
                    crop_height=height, crop_width=width, max_steps=steps, save_checkpoints_steps=saved, log_every=50,
                    inference="whole" if whole else "slide", sampling="epochs" if whole else "replacement",
                    best_metric="mIoU" if whole else "mDice")
    if not whole:
        expected["window_stride"] = stride
    if loss == "dice":
        expected["dice_version"] = "published"
    assert recipe.settings == expected
    figures = [value for value in recipe.expect.values() if isinstance(value, float)]
    assert figures == [float(first), float(second)]
    assert len(str(recipe.expect["measured"])) == len("2020-12-23")


def test_there_are_twenty_five_of_them():
    assert {row.split()[-1] for row in PUBLISHED} == {name for name in recipe_names() if name.startswith("unet")}
    assert len(PUBLISHED) == 25


def test_older_and_shorter_names_mean_the_same():
    own = "unet-s5-d16_pspnet_4xb4-40k_drive-64x64"
    for alias in ("pspnet_unet_s5-d16_64x64_40k_drive", "drive-pspnet"):
        assert canonical_recipe(alias) == own
        assert load_recipe(alias) == load_recipe(own)
    every = all_recipes()
    aliases = [alias for recipe in every.values() for alias in recipe.aliases]
    assert len(set(aliases) | set(every)) == len(aliases) + len(every)
    assert sum(alias.count("_unet_s5-d16_") for alias in aliases) == 12
    assert any("87.52" in str(value) for value in load_recipe(own).expect.values())


@pytest.mark.parametrize("text, words", [
    ("settings: {}\nparts: {a: {}}\nrecipes: {x: {parts: [b]}}", "'b'"),
    ("settings: {}\nparts: {}\nrecipes: {x: {parts: [], other: 1}}", "'other'"),
    ("settings: {}\nparts: {}\nrecipes: {x: {parts: []}, y: {parts: []}}", "2 recipes")])
def test_a_broken_family_is_named(tmp_path, text, words):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_recipe(str(path))
    assert words in str(caught.value)
    assert "mine.yaml" in str(caught.value)


@pytest.mark.parametrize("text, words", [
    ("recipes: [mine]", ["recipes is ['mine']", "`recipes: {name: ...}`"]),
    ("recipes: {mine: [a]}", ["mine is ['a']", "`mine: {name: ...}`"]),
    ("parts: [a], recipes: {mine: {parts: [a]}}", ["parts is ['a']", "`parts: {name: ...}`"]),
    ("parts: {a: 1}, recipes: {mine: {parts: [a]}}", ["a is 1", "`a: {name: ...}`"]),
    ("parts: {a: {}}, recipes: {mine: {parts: a}}", ["parts is 'a'", "`parts: [name, ...]`"]),
    ("parts: {a: {}}, recipes: {mine: {parts: [{a: 1}]}}", ["parts is [{'a': 1}]", "`parts: [name, ...]`"]),
    ("parts: {1: {}, a: {}}, recipes: {mine: {parts: [b]}}", ["unknown part", "'b'", "one of 1, a"]),
    ("recipes: {mine: {parts: [b]}}", ["part 'b'", "`parts: {b: {...}}`"]),
    ("recipes: {mine: {aliases: other}}", ["aliases is 'other'", "`aliases: [name, ...]`"]),
    ("recipes: {mine: {expect: 0.9}}", ["expect is 0.9", "`expect: {name: ...}`"]),
    ("recipes: ", ["0 recipes", "write one"]), ("expect: 0.9", ["expect is 0.9"]), ("title: 2020-13-45", ["YAML"])])
def test_a_shape_that_no_recipe_has_is_named(tmp_path, text, words):
    with pytest.raises(UserError) as caught:
        load_recipe(written(tmp_path, text))
    assert all(word in str(caught.value) for word in ["mine.yaml", *words])


@pytest.mark.parametrize("text, expected", [
    ("recipes: {mine: {expect: {mDice: 0.9}}}", {"mDice": 0.9}), ("recipes: {mine: }", {}),
    ("parts: {a: {seed: 3}}, recipes: {mine: {expect: }}", {}), ("recipes: {1: {parts: []}}", {})])
def test_a_family_may_do_without_parts(tmp_path, text, expected):
    assert load_recipe(written(tmp_path, text)) == Recipe("", "", {"model": "unet"}, expected)


def written(directory, text):
    """A recipe file that has settings, and `text` besides."""
    (directory / "mine.yaml").write_text("{settings: {model: unet}, " + text + "}")
    return str(directory / "mine.yaml")


LARGE = {"crop_height": 256, "crop_width": 256, "global_batch_size": 8, "max_steps": 1200, "log_every": 50}
FAST = {"sstem": {"dice_score_size": 388, "best_metric": "eval_dice_score_388"},
        "drive": {"log_scale": 0.35}, "stare": {"log_scale": 0.35}, "chase_db1": {"log_scale": 0.35},
        "hrf": {**LARGE, "log_scale": 0.35, "inference": "slide", "window_stride": 128, "blending": "gaussian"},
        "dagm2007": {"train_on": "all", "defective_share": 0.7, "foreground_share": 0.5, "objective": "defects",
                     "loss": "bce_dice", "best_metric": "dice_defect"},
        "cityscapes": {**LARGE, "crop_height": 512, "crop_width": 512, "rotation_degrees": 5, "log_scale": 0.5,
                       "inference": "slide", "window_stride": 384, "best_metric": "mIoU"},
        "folder": {**LARGE, "image_normalisation": "training", "log_scale": 0.25, "inference": "slide",
                   "window_stride": 128, "blending": "gaussian"}}


@pytest.mark.parametrize("dataset", FAST)
def test_fast_recipes_differ_in_what_is_written_here_alone(dataset):
    shared = {"model": "unet_compact", "feeding": "native_crops", "crop_height": 64, "crop_width": 64,
              "border": "reflect", "image_normalisation": "symmetric", "inference": "whole", "augment": True,
              "augmentation": "affine", "rotation_degrees": 180, "log_scale": 0.2, "objective": "bce_dice",
              "ce_weight": 1.0, "dice_over": "batch", "global_batch_size": 16, "max_steps": 2400, "optimiser": "adamw",
              "learning_rate": 0.004, "learning_rate_schedule": "one_cycle", "learning_rate_warmup": 0.2,
              "learning_rate_end": 0.0, "weight_decay": 0.01, "weight_decay_scope": "kernels", "use_amp": True,
              "best_metric": "mDice", "log_every": 100}
    recipe = load_recipe(dataset.replace("_", "-") + "-fast")
    assert recipe.settings == {**shared, "dataset": dataset, **FAST[dataset]}
    assert sum(name.endswith("-fast") for name in recipe_names()) == len(FAST)
