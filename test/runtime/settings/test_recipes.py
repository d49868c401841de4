"""Recipes."""

from __future__ import annotations

import pytest

from runtime.settings.recipes import load_recipe, recipe_names
from runtime.settings.tree import settings_from
from utils.errors import UserError


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_legal_and_says_what_to_expect(name):
    recipe = load_recipe(name)
    settings_from(recipe.settings)
    assert recipe.title
    assert recipe.source
    assert recipe.expect


def test_the_ssTEM_recipe_carries_what_was_published():
    settings = load_recipe("sstem-unet").settings
    assert settings == {"model": "unet", "dataset": "sstem", "max_steps": 6400, "batch_size": 8, "step_rule": "divide",
                        "learning_rate": 1e-4, "weight_decay": 0.0, "augment": True, "use_xla": True}
    assert load_recipe("sstem-unet").expect["8x A100 40GB mixed precision"] == 0.8942


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(UserError, match="sstem-unet"):
        load_recipe("sstem-unt")


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
