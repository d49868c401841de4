"""What holds for every module: floors that no tool checks, documents, sizes, and quiet imports."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Union

import pytest

from .conftest import ROOT, run_python

PACKAGES = ("datasets", "dllogger", "model", "objectives", "runtime", "utils")
COMMANDS = ("main", "download_dataset")
NEEDS_HOROVOD = "runtime.distributed.hvd"

MODULE_LINES, FUNCTION_LINES, PARAMETERS = 400, 50, 6

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]


class Module(NamedTuple):
    """A source file: its dotted name, text and syntax tree."""

    name: str
    text: str
    tree: ast.Module


def module(name: str, text: str) -> Module:
    return Module(name, text, ast.parse(text))


def source_files() -> Dict[str, Path]:
    """Every source file by the dotted name of its module."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}
    rooms = {name[:-len(".__init__")] if name.endswith(".__init__") else name: path for name, path in names.items()}
    return {**{name: ROOT / f"{name}.py" for name in COMMANDS}, **rooms}


@pytest.fixture(scope="module")
def modules() -> List[Module]:
    return [module(name, path.read_text(encoding="utf-8")) for name, path in source_files().items()]


# The checks: each yields a line for every offence -----------------------------------------------------------------


def imported_names(tree: ast.AST) -> Iterator[str]:
    """What a module imports, wherever in it, as top-level names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).split(".")[0]


def imports_of_commands(checked: Module) -> Iterator[str]:
    yield from (f"{checked.name} imports {name}" for name in imported_names(checked.tree) if name in COMMANDS)


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def public_parts(node: ast.AST) -> Iterator[Union[Function, ast.ClassDef]]:
    """The public classes and functions of a module, and the public methods of those classes."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not part.name.startswith("_"):
            yield part
            if isinstance(part, ast.ClassDef):
                yield from public_parts(part)


def missing_docstrings(checked: Module) -> Iterator[str]:
    if not ast.get_docstring(checked.tree):
        yield checked.name
    yield from (f"{checked.name}.{part.name}" for part in public_parts(checked.tree) if not ast.get_docstring(part))


def long_modules(checked: Module) -> Iterator[str]:
    lines = len(checked.text.splitlines())
    if lines > MODULE_LINES:
        yield f"{checked.name} has {lines} lines"


def long_functions(checked: Module) -> Iterator[str]:
    for function in functions(checked.tree):
        lines = body_lines(function)
        if lines > FUNCTION_LINES:
            yield f"{checked.name}.{function.name} has {lines} lines"


def body_lines(function: Function) -> int:
    """Lines of a function's body without its docstring (Python 3.7 knows no end of a node, but of its parts)."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    if not body:
        return 0
    last = max(getattr(node, "lineno", 0) for statement in body for node in ast.walk(statement))
    return last - body[0].lineno + 1


def long_signatures(checked: Module) -> Iterator[str]:
    for function in functions(checked.tree):
        names = [argument.arg for argument in function.args.args + function.args.kwonlyargs]
        own = [name for name in names if name not in ("self", "cls")]
        if len(own) > PARAMETERS:
            yield f"{checked.name}.{function.name} takes {len(own)}"


def assertions_and_bare_excepts(checked: Module) -> Iterator[str]:
    for node in ast.walk(checked.tree):
        if isinstance(node, ast.Assert):
            yield f"{checked.name}:{node.lineno} assert"
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{checked.name}:{node.lineno} except"


CHECKS = {
    imports_of_commands: ("import main", "def f():\n    from download_dataset import main"),
    missing_docstrings: ("x = 1", "'''D.'''\ndef f(): pass", "'''D.'''\nclass A:\n    '''D.'''\n    def f(self): pass"),
    long_modules: ("\n" * (MODULE_LINES + 1),),
    long_functions: ("def f():\n" + "    x = 1\n" * (FUNCTION_LINES + 1),
                     "class A:\n    def f(self):\n        '''D.'''\n" + "        x = 1\n" * (FUNCTION_LINES + 1)),
    long_signatures: ("def f(a, b, c, d, e, f, g): pass", "class A:\n    def f(self, a, b, c, d, *, e, f, g=1): pass"),
    assertions_and_bare_excepts: ("def f():\n    assert x", "try:\n    f()\nexcept:\n    pass"),
}
BY_NAME = {check.__name__: check for check in CHECKS}


@pytest.mark.parametrize("name", BY_NAME)
def test_no_module_offends(modules, name):
    assert [offence for checked in modules for offence in BY_NAME[name](checked)] == []


@pytest.mark.parametrize("name, text", [(check.__name__, text) for check, texts in CHECKS.items() for text in texts])
def test_an_offence_is_found(name, text):
    assert len(list(BY_NAME[name](module("bad", text)))) == 1


@pytest.mark.parametrize("name", BY_NAME)
def test_the_limits_themselves_are_no_offence(name):
    function = "def f(a, b, c, d, e, f):\n    '''D.\n\n    Text.\n    '''\n" + "    x = 1\n" * FUNCTION_LINES
    text = "'''D.'''\nimport mains\n" + function
    text += "\n" * (MODULE_LINES - len(text.splitlines()))
    assert list(BY_NAME[name](module("good", text))) == []


def test_the_walk_reaches_every_room():
    names = set(source_files())
    assert {"main", "download_dataset", "runtime.settings.tree", "datasets.phantoms", "utils", NEEDS_HOROVOD} <= names
    assert len(names) == len(COMMANDS) + sum(1 for package in PACKAGES for _ in (ROOT / package).rglob("*.py"))


# Imports ----------------------------------------------------------------------------------------------------------

WATCHED_IMPORT = """
import importlib, json, os, sys
root, others, project = json.loads(sys.argv[1])
sys.path.insert(0, root)
for name in others:
    try:
        importlib.import_module(name)
    except ImportError:
        pass
offences = []
CHANGING = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.system", "os.truncate", "shutil.",
            "socket.", "subprocess.", "tempfile.")

def watch(event, arguments):
    opened = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if opened or event.startswith(CHANGING):
        offences.append([event, str(arguments)])

def files():
    return {os.path.join(place, name) for place, below, names in os.walk("..") for name in below + names}

before = files()
if hasattr(sys, "addaudithook"):
    sys.addaudithook(watch)
for name in project:
    importlib.import_module(name)
print(json.dumps(offences + sorted(files() - before)))
"""


def test_importing_changes_nothing(modules, tmp_path):
    """No file, no directory, no connection, no process: not from any module of the project."""
    names = [checked.name for checked in modules if checked.name != NEEDS_HOROVOD]
    own = {*PACKAGES, *COMMANDS, "horovod", "npu_bridge"}
    # What they import changes things (Keras writes its settings), so that comes first.
    others = {name for checked in modules for name in imported_names(checked.tree)} - own | {"tensorflow.compat.v1"}
    places = {name: str(tmp_path / name) for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR", "here")}
    for place in places.values():
        os.mkdir(place)
    work = json.dumps([str(ROOT), sorted(others), names])
    shown = run_python(["-B", "-c", WATCHED_IMPORT, work], Path(places.pop("here")), places)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_instant(tmp_path, command):
    """It does not import TensorFlow, which takes seconds."""
    shown = run_python(["-X", "importtime", str(ROOT / f"{command}.py"), "--help"], tmp_path, {})
    assert shown.returncode == 0
    assert f"usage: {command}.py" in shown.stdout
    imported = {line.rsplit("|", 1)[-1].strip() for line in shown.stderr.splitlines()}
    assert "argparse" in imported
    assert not [name for name in imported if name.split(".")[0] in ("tensorflow", "tensorflow_core", "horovod")]
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.skipif(importlib.util.find_spec("horovod") is None, reason="Horovod is not installed")
def test_one_process_does_not_import_horovod(tmp_path):
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import runtime.distributed.launch as launch; "
            "launch.connect({}); import runtime.modes.dispatch; print('horovod' in sys.modules)")
    shown = run_python(["-c", code, str(ROOT)], tmp_path, {})
    assert shown.stdout.splitlines()[-1:] == ["False"], shown.stderr


@pytest.mark.parametrize("adapter, said", [(False, "1"), (True, "None")])
def test_TensorFlow_is_asked_for_oneDNN_before_it_is_imported(tmp_path, adapter, said):
    """But not beside Ascend's adapter. What stands for TensorFlow here tells what it finds, and ends."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(
        "import os, sys; sys.exit('found ' + str(os.environ.get('TF_ENABLE_ONEDNN_OPTS')))")
    (tmp_path / "tensorflow-2.15.1.dist-info").mkdir()
    if adapter:
        (tmp_path / "npu_bridge.py").write_text("")
    code = ("import os, platform, sys; os.environ.pop('TF_ENABLE_ONEDNN_OPTS', None); "
            f"platform.machine = lambda: 'x86_64'; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; "
            "import main; main.main([])")
    assert f"found {said}" in run_python(["-c", code], tmp_path, {}).stderr


def test_TensorFlow_waits_for_the_flags(tmp_path):
    """It takes seconds to import, and reads its environment then; --help and a wrong flag need none of it."""
    said = run_python(["-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import main; print(sorted(sys.modules))"],
                      tmp_path, {})
    assert said.returncode == 0 and "'main'" in said.stdout
    assert "'tensorflow'" not in said.stdout
