"""Fixtures that several rooms' tests use."""

from __future__ import annotations

import functools
import gc
import importlib
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import hypothesis
import pytest
import yaml

from utils.onednn import ask_for_onednn

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ask_for_onednn()
from .warm import ENVIRONMENT  # noqa: E402 - the environment of this moment
from .warm.server import READ_AT_IMPORT  # noqa: E402

logging.getLogger("tensorflow").setLevel(logging.ERROR)

# A loaded machine is slow without being wrong.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent
COMMAND_SECONDS = 240


def pytest_collection_finish() -> None:
    """Spare what takes long and changes nothing.

    Garbage is not looked for in what was imported.
    Estimators compute their graphs as written; those of the many runs that are processes are optimised, as a user's.
    """
    if "main" in sys.modules:  # Tests run the command in this process.
        import tensorflow.compat.v1 as tf

        tf.estimator.Estimator.__init__ = without_optimisations(tf.estimator.Estimator.__init__)
    gc.freeze()


def without_optimisations(init: Callable[..., None]) -> Callable[..., None]:
    """The same initialisation of an Estimator, whose graphs are not optimised: that takes longer than its few steps do.

    Except where that is what computes in mixed precision, or compiles.
    """

    @functools.wraps(init)
    def initialise(self: Any, *arguments: Any, **named: Any) -> None:
        init(self, *arguments, **named)
        asked = self._session_config.graph_options
        mixed = any("mixed_precision" in field.name for field, _ in asked.rewrite_options.ListFields())
        if not (mixed or asked.optimizer_options.global_jit_level):
            # A copy: that of the device stays what it is.
            self._session_config = type(self._session_config).FromString(self._session_config.SerializeToString())
            self._session_config.graph_options.rewrite_options.disable_meta_optimizer = True

    return initialise


@pytest.fixture(autouse=True, scope="session")
def _signals_are_heeded() -> None:
    """A shell that starts the tests in the background has these ignored; what is ignored stays so in every process."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True, scope="session")
def _determinism_was_there_before() -> None:
    """The first run with --deterministic of a process may differ in the last bit from those after it was switched off
    and on again, which is done between tests alone.
    """
    importlib.import_module("tensorflow")
    _switch_determinism("enable", "disable")


@pytest.fixture(autouse=True)
def _what_a_run_switches_ends_with_its_test() -> Iterator[None]:
    """A run in this process may switch TensorFlow over to --deterministic for good, where later tests draw without a
    seed, and sets variables of the environment, with which the warm interpreter has nothing to do.

    Those that libraries read go back to what they were at first: a fixture of a module may have run something, too.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(READ_AT_IMPORT)}
    environment.update({name: value for name, value in ENVIRONMENT.items() if name.startswith(READ_AT_IMPORT)})
    yield
    _switch_determinism("disable")
    if os.environ != environment:
        os.environ.clear()
        os.environ.update(environment)


def _switch_determinism(*ways: str) -> None:
    config = sys.modules.get("tensorflow.python.framework.config")
    for way in ways if hasattr(config, "enable_op_determinism") else ():
        getattr(config, f"{way}_op_determinism")()


@pytest.fixture(autouse=True)
def _graphs_end_with_their_test() -> Iterator[None]:
    """A graph that something left behind holds open would be closed while another one is built, whenever garbage is
    looked for.
    """
    before = _is_eager()
    yield
    assert _is_eager() == before, "a graph is still the current one"


def _is_eager() -> bool:
    context = sys.modules.get("tensorflow.python.eager.context")
    return context is None or bool(context.executing_eagerly())


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small synthetic ssTEM set: five slices of 64 x 64."""
    from datasets.phantoms.sstem import write_sstem

    directory = tmp_path_factory.mktemp("phantom") / "sstem"
    directory.mkdir()
    write_sstem(str(directory), slices=5, size=64)
    return str(directory)


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recipe for a UNet that trains in a blink: two filters, one level, 36 -> 20 pixels."""
    path = tmp_path_factory.mktemp("recipes") / "tiny.yaml"
    return write_recipe(path, filters=2, depth=1, input_size=36, log_every=1)


@pytest.fixture()
def run(run_in: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Run the command as a module's `run_in` does, in `tmp_path/<name>`, and return that directory."""

    def call(*arguments: str, name: str = "run", **details: Any) -> Path:
        return run_in(tmp_path / name, *arguments, **details)

    return call


def write_recipe(path: Path, **settings: Any) -> str:
    """A recipe file with `settings`."""
    path.write_text(yaml.safe_dump({"settings": settings}))
    return str(path)


@pytest.fixture()
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `main.py` in an empty directory, as a user would."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_python([str(ROOT / "main.py"), *arguments], tmp_path, environment)

    return run


def run_python(arguments: List[str], directory: Path, environment: Dict[str, str],
               interpreter: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run an interpreter in `directory` and hand back what it printed."""
    return subprocess.run([interpreter, *arguments], cwd=str(directory), env={**os.environ, **environment},
                          capture_output=True, text=True,
                          timeout=COMMAND_SECONDS, check=False)


def as_nobody(action: Callable[[], Any]) -> str:
    """What `action` returns, or the text of what it raises, when an unprivileged user carries it out."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            text = str(action())
        except BaseException as error:  # noqa: BLE001 - nothing of the tests goes on in the child
            text = str(error)
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return text
