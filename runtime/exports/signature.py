"""What an export takes and gives, for machines (`signature.json`) and for people (`README.md`)."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from datasets.pixels import WORDS
from runtime.assembly import Run
from runtime.checkpoints.find import Checkpoint, found_as
from runtime.exports.base import Format
from runtime.exports.served import CLASSES, IMAGE, PROBABILITIES, SCORE, Served

COLOURS = {1: "grey", 3: "red, green, blue"}
_SIZE = ["batch", "height", "width"]


def describe(run: Run, checkpoint: Checkpoint, served: Served, pixels: str,
             threshold: Optional[float]) -> Dict[str, Any]:
    """What all forms of an export have in common; `pixels` and `threshold` as for `serve`."""
    spec, rule, settings = run.dataset.spec, run.dataset.pixel_rule, run.settings
    geometry = run.network.geometry
    return {
        "input": {
            "name": IMAGE, "dtype": served.dtype, "shape": [*_SIZE, served.channels],
            "channels": COLOURS.get(served.channels, "in the order of the file"),
            "numbers": f"as they stand in an image file of {WORDS[pixels]}", "file_dtype": pixels,
            "range": list(rule.bounds[pixels]),
            "grey_images": "repeat the channel" if rule.grey_repeated else
                           "as they are; of three equal channels one" * (served.channels == 1)},
        "outputs": {
            PROBABILITIES: {"dtype": "float32", "shape": [*_SIZE, spec.classes], "range": [0.0, 1.0]},
            CLASSES: {"dtype": "uint8", "shape": _SIZE},
            **({SCORE: {"dtype": "float32", "shape": ["batch"], "range": [0.0, 1.0]}} if SCORE in served.outputs
               else {})},
        "sizes": "any; the images of one batch have one size",
        "dynamic_axes": _SIZE,
        "padding": run.feeding.whole_rule,
        "network_input": {"divisor": geometry.divisor, "remainder": geometry.remainder, "minimum": geometry.minimum,
                          "margin": geometry.margin},
        "classes": list(spec.class_names),
        "palette": [list(colour) for colour in spec.palette or ((0, 0, 0), (255, 255, 255))],
        "threshold": threshold,
        "network": settings.model.model, "pruning_level": settings.model.pruning_level,
        "head_mode": settings.model.head_mode, "dataset": spec.name, "feeding": settings.data.feeding,
        "precision": run.device.precision, "step": checkpoint.step,
        "checkpoint": found_as(settings.run.model_dir, settings.run.checkpoint, checkpoint)}


def readme(form: Format, signature: Mapping[str, Any], parity: Mapping[str, Any]) -> str:
    """The same for people, in Markdown."""
    takes, classes = signature["input"], signature["classes"]
    failed = "**FAILED: this export does not give what the Estimator gives. Do not use it.**"
    lines = [failed, ""] * (not parity["passed"])
    lines += [f"# {signature['network']} on {signature['dataset']}, as {form.name}", "",
             f"After {signature['step']} training steps. Runs in {form.runs_in}; the file is `{form.file}`."]
    lines += [f"ONNX opset {signature['opset']}."] if "opset" in signature else []
    lines += ["", "## Input", "",
              f"`{IMAGE}`: {takes['dtype']} {_shape(takes['shape'])}, numbers {takes['numbers']} "
              f"(usually {takes['range'][0]:g} to {takes['range'][1]:g}), nothing subtracted or divided. "
              f"Channels: {takes['channels']}."]
    lines += [f"Grey images: {takes['grey_images']}."] if takes["grey_images"] else []
    lines += ["", f"Sizes: {signature['sizes']}. Inside, an image is {signature['padding']}.", "", "## Outputs", ""]
    lines += [f"- `{name}`: {gives['dtype']} {_shape(gives['shape'])}{_MEANINGS[name]}"
              for name, gives in signature["outputs"].items()]
    if signature["threshold"] is not None:
        lines.append(f"- the second class is chosen where its probability exceeds {signature['threshold']:g}")
    lines += ["", "| class | name | red, green, blue |", "|---|---|---|"]
    lines += [f"| {index} | {name} | {', '.join(map(str, colour))} |"
              for index, (name, colour) in enumerate(zip(classes, signature["palette"]))]
    return "\n".join([*lines, "", "## Parity", "", *_parity(parity), ""])


_MEANINGS = {PROBABILITIES: ", of each class at each pixel", CLASSES: ", the class of each pixel",
             SCORE: ", of each image as a whole"}


def _shape(axes: List[Any]) -> str:
    return "[" + ", ".join(map(str, axes)) + "]"


def _parity(parity: Mapping[str, Any]) -> List[str]:
    """`parity.json` in words."""
    found = parity["max_abs_difference"]
    return [f"{len(parity['images'])} images of the {parity['split']} split beside the Estimator, in float32: "
            f"probabilities differ by {'no number' if found is None else f'{found:.2g}'} at most "
            f"(limit {parity['limits']['max_abs_difference']:g}); where they agree least, "
            f"{parity['mask_agreement']:.6%} of the pixels have the same class. `parity.json` has every image, "
            "`signature.json` all of the above for machines."]
