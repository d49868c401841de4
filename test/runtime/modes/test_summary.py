"""What a person reads after a run."""

from __future__ import annotations

from runtime.modes.summary import table
from runtime.settings.tree import settings_from

NO_FOLDS = {"mean": {"score": 0.5}, "standard_deviation": {"score": 0.1}, "folds": []}


def published(**values):
    """What stands below the scores."""
    lines = table(settings_from(values), NO_FOLDS)
    return lines[3:]


def test_published_figures_stand_a_line_each():
    said = published(recipe="sstem-unet")
    assert said[0].startswith("published (NVIDIA DeepLearningExamples")
    assert "  8x A100 40GB mixed precision: 0.8942" in said
    assert published() == []


def test_of_figures_by_class_those_of_the_run_are_told():
    said = published(recipe="dagm2007-tinyunet", class_id=9)
    assert "  1x A100 40GB TF32: 0.9717" in said
    assert [line for line in said if "class_id" in line] == [
        "  class_id 9, V100 FP32 (19.03 container): IoU_THS_0.75 0.988, TPR_THS_0.75 0.9982, TNR_THS_0.75 0.9981, "
        "IoU_THS_0.99 0.988, TPR_THS_0.99 0.9982, TNR_THS_0.99 0.9984",
        "  class_id 9, V100 mixed precision (19.03 container): IoU_THS_0.75 0.988, TPR_THS_0.75 0.9987, "
        "TNR_THS_0.75 0.9981, IoU_THS_0.99 0.988, TPR_THS_0.99 0.9987, TNR_THS_0.99 0.9982"]
    assert not any("{" in line for line in said)
    assert not any("class_id" in line for line in published(recipe="dagm2007-tinyunet"))
