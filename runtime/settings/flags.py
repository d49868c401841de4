"""The command line, made from the settings tree."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, Collection, Dict, List, NoReturn, Optional, Sequence

from datasets.options import NO_FOLD
from runtime.settings.saved import load_settings
from runtime.settings.tree import EXEC_MODES, Field, Settings, fields, settings_from
from utils.commands import command_words
from utils.errors import UserError, unknown_flag
from utils.options import INVOCATION

DESCRIPTION = "Train, evaluate and predict with U-Nets for image segmentation."
_NONE = {"crossvalidation_idx": NO_FOLD}
"""The words that say None; other flags cannot."""
EPILOG = ("A flag beats the recipe, the recipe beats the default; the data set folder has a recipe of its own "
          "(docs/own_images.md). Evaluate, predict and --resume_training take what "
          "a run is from its settings.json.")


def parse_flags(arguments: Sequence[str]) -> Dict[str, Any]:
    """The flags that were given, by field name; one that was not given is absent.

    Raises:
        UserError: unknown flag, missing or unreadable value, or one that is not among the choices.
        SystemExit: `--help` was given; the text has been printed.
    """
    parser = _Parser(prog="main.py", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False, add_help=False,
                     argument_default=argparse.SUPPRESS, formatter_class=_Formatter)
    groups: Dict[str, Any] = {}
    for field in fields():
        if field.option.flag:
            group = groups.setdefault(field.group, parser.add_argument_group(_title(field.group)))
            _add_flag(group, field)
    groups["run"].add_argument("-h", "--help", action="help", help="show this text and end")
    known, unknown = parser.parse_known_args(list(arguments))
    if unknown and unknown[0] in EXEC_MODES:
        raise UserError(f"command line: {unknown[0]}", "flags", f"did you mean --exec_mode {unknown[0]}?")
    if unknown:
        raise unknown_flag(unknown[0], parser.flag_names(), "main.py")
    return vars(known)


def words_of(settings: Settings, *others: Settings) -> List[str]:
    """A command line that means `settings`, of a command that works on a run: all flags but for what the run keeps, and
    for --overwrite.

    Args:
        settings: of the command; of several runs that predict together, what it means for the first.
        others: what it means for the others. What only their runs do not keep was said, too.
    """
    # Several runs bring their directories, and where they write comes from --output.
    implied = {"overwrite", *(("model_dir", "log_dir") if settings.prediction.ensemble else ())}
    said = {field.name for own in (settings, *others) for field in _changed(own, _kept(own))}
    among = [field for field in fields() if field.name in said - implied]
    return [*command_words(), *_words(settings, among)]


def invocation_words(settings: Settings, but: Collection[str]) -> List[str]:
    """The flags of a command that no run keeps, and that a command that goes on with it must give again.

    Args:
        settings: of the command.
        but: names of flags that are left out.
    """
    return _words(settings, [field for field in _changed(settings, settings_from({}))
                             if field.option.kind == INVOCATION and field.name not in but])


def words_of_changes(settings: Settings, label: str) -> List[str]:
    """The flags in which a command that goes on with a run differs from what the run keeps by now.

    Args:
        settings: of the command.
        label: what names the data that it works on.
    """
    kept = _kept(settings)
    but = {"model_dir", *(("data_dir",) if kept.data.data_dir == label else ())}
    return _words(settings, [field for field in _changed(settings, kept)
                             if field.option.kind != INVOCATION and field.name not in but])


def _kept(settings: Settings) -> Settings:
    """What the run of a command keeps."""
    return settings_from({**load_settings(settings.run.model_dir), "model_dir": ""})


def _changed(settings: Settings, known: Settings) -> List[Field]:
    """The fields in which settings differ from what is known without being said, and that a flag can say."""
    return [field for field in fields() if field.option.flag and _value(settings, field) != _value(known, field)
            and (_value(settings, field) is not None or field.name in _NONE)]


def _value(settings: Settings, field: Field) -> Any:
    return getattr(getattr(settings, field.group), field.name)


def _words(settings: Settings, among: Sequence[Field]) -> List[str]:
    """Flags that say what `settings` have in some fields."""
    words: List[str] = []
    for field in among:
        value = _value(settings, field)
        if isinstance(value, bool):
            words.append(f"--{field.name}" if value else f"--no-{field.name}")
        elif value is None:
            words += [f"--{field.name}", _NONE[field.name]]
        else:
            words += [f"--{field.name}", *map(str, value if field.several else [value])]
    return words


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=110)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"command line: {message}", "flags as `python main.py --help` lists them", "mend the command")

    def flag_names(self) -> List[str]:
        return [name for action in self._actions for name in action.option_strings if name.startswith("--")]


class _Switch(argparse.Action):
    """`--name` turns a switch on, `--no-name` off, so that a recipe's switch can be taken back."""

    def __init__(self, option_strings: Sequence[str], dest: str, **details: Any) -> None:
        both = [name.replace("--", prefix, 1) for prefix in ("--", "--no-") for name in option_strings]
        super().__init__(both, dest, nargs=0, **details)

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: Optional[str] = None) -> None:
        setattr(namespace, self.dest, not str(option_string).startswith("--no-"))

    def format_usage(self) -> str:
        return self.option_strings[0]


def _title(group: str) -> str:
    options = next(field.default for field in dataclasses.fields(Settings) if field.name == group)
    return str(type(options).__doc__).strip().rstrip(".")


def _add_flag(group: Any, field: Field) -> None:
    names = ["--" + name for name in (field.name,) + field.option.aliases]
    default = _shown_default(field)
    text = f"{field.option.help} (default: {default})" if default else field.option.help
    if field.type is bool:
        group.add_argument(*names, action=_Switch, dest=field.name, help=text)
    else:
        several = {"nargs": "+"} if field.several else {}
        group.add_argument(*names, dest=field.name, type=_parser_of(field), metavar=_metavar(field), help=text,
                           **several)


def _shown_default(field: Field) -> str:
    if field.type is bool:
        return "on" if field.default else "off"
    if field.several:
        return " ".join(map(str, field.default))
    return "" if field.default is None else str(field.default)


def _parser_of(field: Field) -> Any:
    kind = field.kinds[0]
    parse = field.option.parse or kind

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            expected = str(error) if field.option.parse else f"a value of type {kind.__name__}"
            raise UserError(f"--{field.name} {text}", expected, "give such a value") from error

    return convert


def _metavar(field: Field) -> str:
    # The settings tree checks the choices itself, and names the nearest one.
    if field.option.choices:
        return "{" + ",".join(str(choice) for choice in field.option.choices) + "}"
    return {int: "N", float: "X"}.get(field.kinds[0], "VALUE")
