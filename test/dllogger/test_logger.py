"""The log: NVIDIA's line formats, and what they lacked."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Iterator, List

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dllogger
from dllogger import logger as module
from dllogger.logger import Backend, JSONStreamBackend, Logger, StdOutBackend, Verbosity

MOMENT = datetime(2026, 11, 21, 0, 26, 2, 752184)
STAMP = "DLL 2026-11-21 00:26:02.752184 - "


class Recorder(Backend):
    """Keeps what reaches it."""

    def __init__(self, verbosity: int = Verbosity.DEFAULT) -> None:
        super().__init__(verbosity)
        self.calls: List[Any] = []

    def log(self, timestamp: datetime, elapsedtime: float, step: Any, data: Any) -> None:
        self.calls.append(("log", step, dict(data)))

    def metadata(self, timestamp: datetime, elapsedtime: float, metric: str, metadata: Any) -> None:
        self.calls.append(("metadata", metric, dict(metadata)))

    def flush(self) -> None:
        self.calls.append("flush")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    dllogger.shutdown()
    yield
    dllogger.shutdown()


def _records(path: Path) -> List[Dict[str, Any]]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(line.startswith("DLLL {") for line in lines)
    return [json.loads(line[5:], parse_constant=refuse) for line in lines]


def _line(step: Any, data: Dict[str, Any], **metadata: Dict[str, Any]) -> str:
    lines: List[str] = []
    backend = StdOutBackend(Verbosity.DEFAULT, write=lines.append)
    for metric, fields in metadata.items():
        backend.metadata(MOMENT, 0.0, metric, fields)
    backend.log(MOMENT, 0.0, step, data)
    assert len(lines) == 1
    return lines[0]


def _written(path: Path, data: Dict[str, Any], step: Any = ()) -> Dict[str, Any]:
    with Logger([JSONStreamBackend(Verbosity.VERBOSE, path)]) as log:
        log.log(step, data)
    return _records(path)[0]


def _documents(leaves: Any) -> Any:
    leaves = leaves | st.none() | st.booleans() | st.integers() | st.text()
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3)
                        | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)


class TestNames:
    def test_package_offers_what_nvidia_exports(self) -> None:
        names = ["init", "log", "metadata", "flush", "Logger", "Backend", "Verbosity", "StdOutBackend",
                 "JSONStreamBackend", "default_step_format", "default_metric_format", "DLLoggerNotInitialized",
                 "DLLLoggerAlreadyInitialized"]
        for name in names:
            assert getattr(dllogger, name) is getattr(module, name)

    def test_star_import_offers_what_it_lists(self) -> None:
        assert all(hasattr(dllogger, name) for name in dllogger.__all__)

    def test_misspelt_exception_is_the_same_class(self) -> None:
        assert dllogger.DLLLoggerAlreadyInitialized is dllogger.DLLoggerAlreadyInitialized

    def test_verbosity_levels(self) -> None:
        assert (Verbosity.OFF, Verbosity.DEFAULT, Verbosity.VERBOSE) == (-1, 0, 1)


class TestStdOut:
    def test_observed_line_of_the_reference(self) -> None:
        data = {"train_ce_loss": 0.5, "train_dice_loss": 0.3, "train_total_loss": 0.8}
        assert _line((0, 6400), data) == (
            STAMP + "(0, 6400) train_ce_loss : 0.5  train_dice_loss : 0.3  train_total_loss : 0.8 ")

    def test_unit_and_format(self) -> None:
        line = _line((), {"speed": 12.3456}, speed={"unit": "images/s", "format": ":.1f"})
        assert line == STAMP + "() speed : 12.3 images/s"

    def test_unit_none_is_no_unit(self) -> None:
        assert _line((), {"dice": 0.9}, dice={"unit": None}) == STAMP + "() dice : 0.9 "

    def test_value_none_is_not_formatted(self) -> None:
        assert _line((), {"dice": None}, dice={"format": ":.3f"}) == STAMP + "() dice : None "

    @pytest.mark.parametrize("value", ["n/a", [0.5, 0.25]])
    def test_value_that_the_format_does_not_fit(self, value: Any) -> None:
        assert _line((), {"dice": value}, dice={"format": ":.3f"}) == STAMP + f"() dice : {value} "

    def test_no_metric(self) -> None:
        assert _line("PARAMETER", {}) == STAMP + "PARAMETER "

    def test_numpy_prints_like_python_and_on_one_line(self) -> None:
        line = _line((np.int64(3), 9), {"a": np.zeros((2, 2)), "b": [np.float64(0.5)], "c": np.bool_(True)})
        assert line == STAMP + "(3, 9) a : [[0.0, 0.0], [0.0, 0.0]]  b : [0.5]  c : True "

    def test_format_takes_numpy(self) -> None:
        assert _line((), {"a": np.array(0.25)}, a={"format": ":.3f"}) == STAMP + "() a : 0.250 "

    def test_whole_second_keeps_its_fraction(self) -> None:
        assert module.default_prefix_format(datetime(2026, 1, 2)) == "DLL 2026-01-02 00:00:00.000000 - "

    def test_metadata_merges_and_acts_on_later_lines(self) -> None:
        lines: List[str] = []
        backend = StdOutBackend(Verbosity.DEFAULT, prefix_format=lambda _: "", write=lines.append)
        backend.log(MOMENT, 0.0, (), {"a": 1.0})
        backend.metadata(MOMENT, 0.0, "a", {"unit": "s"})
        backend.log(MOMENT, 0.0, (), {"a": 1.0})
        backend.metadata(MOMENT, 0.0, "a", {"format": ":.2f"})
        backend.log(MOMENT, 0.0, (), {"a": 1.0})
        assert lines == ["() a : 1.0 ", "() a : 1.0 s", "() a : 1.00 s"]

    def test_own_formats(self) -> None:
        lines: List[str] = []
        backend = StdOutBackend(Verbosity.DEFAULT, step_format=lambda step: f"<{step}>",
                                metric_format=lambda name, known, value: f"{name}={value}",
                                prefix_format=lambda moment: f"{moment.year}|", write=lines.append)
        backend.log(MOMENT, 0.0, 7, {"a": 1, "b": 2})
        assert lines == ["2026|<7> a=1 b=2"]

    def test_default_follows_sys_stdout(self, capsys: pytest.CaptureFixture) -> None:
        StdOutBackend(Verbosity.DEFAULT).log(MOMENT, 0.0, 1, {"a": 2})
        assert capsys.readouterr().out == STAMP + "1 a : 2 \n"


class TestJson:
    def test_log_record(self, tmp_path: Path) -> None:
        backend = JSONStreamBackend(Verbosity.DEFAULT, str(tmp_path / "log.json"))
        backend.log(MOMENT, 1.5, (1, 2), {"loss": 0.25})
        backend.close()
        [record] = _records(tmp_path / "log.json")
        assert list(record) == ["timestamp", "datetime", "elapsedtime", "type", "step", "data"]
        assert record["timestamp"] == str(MOMENT.timestamp())
        assert record["elapsedtime"] == "1.5"
        assert (record["type"], record["step"], record["data"]) == ("LOG", [1, 2], {"loss": 0.25})

    def test_metadata_record(self, tmp_path: Path) -> None:
        backend = JSONStreamBackend(Verbosity.OFF, tmp_path / "log.json")
        backend.metadata(MOMENT, 2.0, "loss", {"unit": None, "GOAL": "MINIMIZE"})
        backend.close()
        [record] = _records(tmp_path / "log.json")
        assert list(record) == ["timestamp", "elapsedtime", "datetime", "type", "metric", "metadata"]
        assert (record["type"], record["metric"]) == ("METADATA", "loss")
        assert record["metadata"] == {"unit": None, "GOAL": "MINIMIZE"}

    def test_datetime_carries_its_zone(self, tmp_path: Path) -> None:
        record = _written(tmp_path / "log.json", {})
        assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d$", record["datetime"])
        text, moment = record["datetime"], float(record["timestamp"])
        read = datetime.strptime(text[:-3] + text[-2:], "%Y-%m-%d %H:%M:%S.%f%z")
        assert read.timestamp() == pytest.approx(moment, abs=1e-5)

    def test_numbers_that_json_lacks(self, tmp_path: Path) -> None:
        data = {"a": math.nan, "b": [math.inf, {"c": (-math.inf, 1.0)}], "d": np.array([[math.nan, 2.0]]),
                "e": np.float32("inf"), math.nan: 0}
        assert _written(tmp_path / "log.json", data)["data"] == {
            "a": "NaN", "b": ["Infinity", {"c": ["-Infinity", 1.0]}], "d": [["NaN", 2.0]], "e": "Infinity", "NaN": 0}

    @given(_documents(st.floats(allow_nan=False, allow_infinity=False)))
    def test_reader_gets_back_what_was_logged(self, tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
        path = tmp_path_factory.getbasetemp() / "same.json"
        assert _written(path, {"value": value})["data"] == {"value": value}

    @given(_documents(st.sampled_from([math.nan, math.inf, -math.inf])))
    def test_every_line_is_json(self, tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
        path = tmp_path_factory.getbasetemp() / "valid.json"
        assert list(_written(path, {"value": value})["data"]) == ["value"]

    def test_numpy(self, tmp_path: Path) -> None:
        data = {"a": np.int64(3), "b": np.float32(0.5), "c": np.arange(4).reshape(2, 2), "d": np.bool_(True),
                "e": np.longdouble(0.25), "f": np.array(1), "g": [np.uint8(7)], np.int32(5): np.str_("x")}
        record = _written(tmp_path / "log.json", data, step=(np.int64(4), 8))
        assert record["step"] == [4, 8]
        assert record["data"] == {"a": 3, "b": 0.5, "c": [[0, 1], [2, 3]], "d": True, "e": 0.25, "f": 1, "g": [7],
                                  "5": "x"}
        assert record["data"]["d"] is True

    def test_value_without_json_form_writes_nothing(self, tmp_path: Path) -> None:
        with Logger([JSONStreamBackend(Verbosity.VERBOSE, tmp_path / "log.json")]) as log:
            with pytest.raises(TypeError):
                log.log((), {"a": object()})
            log.log((), {"a": 1})
        assert [record["data"] for record in _records(tmp_path / "log.json")] == [{"a": 1}]

    def test_text_stays_on_one_line(self, tmp_path: Path) -> None:
        assert _written(tmp_path / "log.json", {"a": "x\ny\u2028z\u00e9"})["data"] == {"a": "x\ny\u2028z\u00e9"}

    def test_directory_is_made(self, tmp_path: Path) -> None:
        assert _written(tmp_path / "not" / "yet" / "log.json", {"a": 1})["data"] == {"a": 1}

    def test_bare_name_in_the_working_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert _written(Path("log.json"), {"a": 1})["data"] == {"a": 1}

    def test_record_is_readable_before_flush_and_close(self, tmp_path: Path) -> None:
        with Logger([JSONStreamBackend(Verbosity.VERBOSE, tmp_path / "log.json")]) as log:
            log.log(1, {"a": 1})
            assert len(_records(tmp_path / "log.json")) == 1

    def test_new_file_unless_append(self, tmp_path: Path) -> None:
        _written(tmp_path / "log.json", {"a": 1})
        _written(tmp_path / "log.json", {"a": 2})
        assert len(_records(tmp_path / "log.json")) == 1

    @pytest.mark.parametrize("existing", [None, "", 'DLLL {"a": 1}\n', 'DLLL {"a": 1}\nDLLL {"a'])
    def test_append_keeps_records_apart(self, tmp_path: Path, existing: Any) -> None:
        path = tmp_path / "log.json"
        if existing is not None:
            path.write_text(existing, encoding="utf-8")
        backend = JSONStreamBackend(Verbosity.VERBOSE, path, append=True)
        backend.log(MOMENT, 0.0, (), {"b": 2})
        backend.close()
        before, last = path.read_text(encoding="utf-8").rsplit("DLLL ", 1)
        whole = (existing or "").rstrip("\n")
        assert before == (whole + "\n" if whole else "")
        assert json.loads(last)["data"] == {"b": 2}

    def test_append_ends_a_broken_line_even_without_a_record(self, tmp_path: Path) -> None:
        path = tmp_path / "log.json"
        path.write_text("DLLL {", encoding="utf-8")
        for _ in range(2):
            JSONStreamBackend(Verbosity.VERBOSE, path, append=True).close()
        assert path.read_text(encoding="utf-8") == "DLLL {\n"

    def test_unwritable_place(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x", encoding="utf-8")
        with pytest.raises(OSError):
            JSONStreamBackend(Verbosity.VERBOSE, tmp_path / "file" / "log.json")

    def test_closed_backend(self, tmp_path: Path) -> None:
        backend = JSONStreamBackend(Verbosity.VERBOSE, tmp_path / "log.json")
        backend.close()
        backend.close()
        backend.flush()
        with pytest.raises(ValueError):
            backend.log(MOMENT, 0.0, (), {})


class TestLogger:
    @pytest.mark.parametrize("level", [Verbosity.OFF, Verbosity.DEFAULT, Verbosity.VERBOSE])
    @pytest.mark.parametrize("record", [Verbosity.DEFAULT, Verbosity.VERBOSE])
    def test_backend_takes_records_up_to_its_level(self, level: int, record: int) -> None:
        backend = Recorder(level)
        Logger([backend]).log((), {}, verbosity=record)
        assert len(backend.calls) == (level >= record)

    def test_default_level_is_verbose(self) -> None:
        backends = [Recorder(Verbosity.DEFAULT), Recorder(Verbosity.VERBOSE)]
        Logger(backends).log((), {})
        assert [len(backend.calls) for backend in backends] == [0, 1]

    def test_metadata_ignores_levels(self) -> None:
        backend = Recorder(Verbosity.OFF)
        Logger([backend]).metadata("a", {"unit": "s"})
        assert backend.calls == [("metadata", "a", {"unit": "s"})]

    def test_elapsed_time_counts_from_construction(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = iter([100.0, 102.5, 110.0])
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        with Logger([JSONStreamBackend(Verbosity.VERBOSE, tmp_path / "log.json")]) as log:
            log.log((), {})
            log.metadata("a", {})
        assert [record["elapsedtime"] for record in _records(tmp_path / "log.json")] == ["2.5", "10.0"]

    def test_context_manager_flushes_then_closes(self) -> None:
        backend = Recorder()
        with Logger([backend]) as log:
            log.flush()
        assert backend.calls == ["flush", "flush", "close"]

    def test_every_backend_is_closed_though_one_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bad, good = Recorder(), Recorder()
        monkeypatch.setattr(bad, "flush", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Logger([bad, good]).close()
        assert (bad.calls, good.calls) == (["close"], ["flush", "close"])

    def test_backend_needs_neither_flush_nor_close(self) -> None:
        class Least(Backend):
            def log(self, timestamp: datetime, elapsedtime: float, step: Any, data: Any) -> None:
                pass

            def metadata(self, timestamp: datetime, elapsedtime: float, metric: str, metadata: Any) -> None:
                pass

        with Logger([Least(Verbosity.DEFAULT)]) as log:
            log.log(1, {})
            log.flush()

    def test_backend_must_log(self) -> None:
        with pytest.raises(TypeError):
            Backend(Verbosity.DEFAULT)  # type: ignore[abstract]

    def test_interpreter_exit_closes(self) -> None:
        script = ("from dllogger import Logger, StdOutBackend\n"
                  "class Loud(StdOutBackend):\n"
                  "    def close(self): print('closed')\n"
                  "Logger([Loud(0)])\n")
        root = str(Path(module.__file__).parent.parent)
        result = subprocess.run([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, check=True)
        assert result.stdout.split() == [b"closed"]


class TestProcessWide:
    @pytest.mark.parametrize("call", [lambda: dllogger.log(1, {}), lambda: dllogger.metadata("a", {}), dllogger.flush])
    def test_use_before_init(self, call: Any) -> None:
        with pytest.raises(dllogger.DLLoggerNotInitialized, match="init"):
            call()

    def test_second_init(self) -> None:
        dllogger.init([])
        with pytest.raises(dllogger.DLLLoggerAlreadyInitialized, match="shutdown"):
            dllogger.init(backends=[])

    def test_calls_reach_the_backends_with_level_default(self) -> None:
        backend = Recorder(Verbosity.DEFAULT)
        dllogger.init(backends=[backend])
        dllogger.log(step=(1,), data={"a": 1})
        dllogger.log((2,), {"a": 2}, Verbosity.VERBOSE)
        dllogger.metadata("a", {"unit": "s"})
        dllogger.flush()
        assert backend.calls == [("log", (1,), {"a": 1}), ("metadata", "a", {"unit": "s"}), "flush"]

    def test_shutdown_closes_and_forgets(self) -> None:
        backend = Recorder()
        dllogger.init([backend])
        dllogger.shutdown()
        dllogger.shutdown()
        assert backend.calls == ["flush", "close"]
        dllogger.init([])
