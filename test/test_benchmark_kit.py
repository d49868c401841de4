"""What measurements share: records, sections, timelines, processes; all by hand, nothing is measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import NamedTuple

import pytest

from benchmark import (
    every_recipe,
    growth,
    input_wait,
    large_images,
    start_up,
    time_to_score,
    two_ranks,
    unetpp_vs_unet,
    versus_pytorch,
)
from benchmark.kit import machine, results, runs
from benchmark.kit.processes import Ended, Surroundings, carried_out, finished, stoppable
from benchmark.kit.timeline import read_timeline, shares
from runtime.devices import kernel_gradients
from utils.commands import exit_code
from utils.contracts import Convolution
from utils.errors import UserError
from utils.processes import process_alive

from .conftest import ROOT

MACHINE = {"processor": "Abacus", "cores": 2, "memory_gib": 24, "date": "2026-01-02", "versions": {"TensorFlow": "2"}}


class Case(NamedTuple):
    name: str
    value: int = 1

    def __str__(self):
        return f"{self.name} {self.value}"


def made(case, **more):
    return {"case": case._asdict(), "machine": MACHINE, "load": 0.5, "steps": 6, "warmup_steps": 3, **more}


def book(tmp_path, **more):
    return results.Book(str(tmp_path / "results.json"), Case, {**MACHINE, **more})


def stored(tmp_path):
    return json.loads((tmp_path / "results.json").read_text())


def go(kept, cases, failing=(), steps=6, **more):
    """The cases that were measured, the records that were told, and the cases that failed."""
    asked, told = [], []

    def measure(case):
        asked.append(case)
        if case.name in failing:
            raise UserError("a", "b", "c")
        return {"load": 0.5, "steps": steps, "warmup_steps": 3, **more}

    failures = results.measure_all(cases, kept, measure, told.append, lambda record: record["steps"] >= steps)
    return asked, told, failures


# Records ----------------------------------------------------------------------------------------------------------


def test_a_record_is_kept_as_soon_as_it_is_made_and_not_made_again(tmp_path, capsys):
    asked, told, failures = go(book(tmp_path), [Case("a"), Case("b")], failing=["a"])
    assert asked == [Case("a"), Case("b")] and failures == ["a 1"]
    assert told == book(tmp_path).records() == stored(tmp_path) == [made(Case("b"))]
    assert "a 1 failed: a\n  expected: b" in capsys.readouterr().err
    asked, told, _ = go(book(tmp_path), [Case("a"), Case("b"), Case("b", 2)])
    assert asked == [Case("a"), Case("b", 2)] and len(stored(tmp_path)) == 3


def test_what_others_keep_meanwhile_stays(tmp_path):
    mine, other = book(tmp_path), book(tmp_path)
    mine.keep(Case("a"), {"steps": 1})
    other.keep(Case("b"), {"steps": 2})
    assert mine.find(Case("b"))["steps"] == 2 and len(mine.records()) == 2


def test_what_is_measured_again_takes_the_place_of_what_was_there(tmp_path):
    go(book(tmp_path), [Case("a"), Case("b")])
    asked, *_ = go(book(tmp_path), [Case("a")], steps=7)
    assert asked == [Case("a")] and stored(tmp_path) == [made(Case("b")), made(Case("a"), steps=7)]


@pytest.mark.parametrize("parts", ["contestants", "ways"])
def test_a_record_that_holds_more_stays_until_one_has_all_of_it(tmp_path, parts):
    """Whatever else the new one has, unless the settings are others by now."""
    kept, names = book(tmp_path), [{"name": name} for name in "abc"]
    for own, left in ((names[:2], 1), (names[1:], 2), (names[:2], 2), (names, 1)):
        kept.keep(Case("a"), {parts: own})
        assert len(stored(tmp_path)) == left
    assert kept.find(Case("a"), lambda record: {"name": "c"} in record[parts]) is not None
    kept.keep(Case("a"), {parts: names[:1], "digest": "other"})
    assert len(stored(tmp_path)) == 1


def test_records_of_another_machine_stay_and_do_not_count(tmp_path):
    go(book(tmp_path, cores=64), [Case("a")])
    asked, *_ = go(book(tmp_path), [Case("a")])
    assert asked == [Case("a")] and [each["machine"]["cores"] for each in stored(tmp_path)] == [64, 2]


def test_what_the_environment_says_otherwise_makes_another_machine(tmp_path):
    """Records of before that was told are of a machine of which nothing is said otherwise."""
    said = {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_NUM_INTEROP_THREADS": "", "HOME": "here"}
    assert machine.otherwise(said) == []
    found = machine.otherwise({**said, "TF_ENABLE_ONEDNN_OPTS": "0", "TF_NUM_INTRAOP_THREADS": "1"})
    assert found == ["TF_ENABLE_ONEDNN_OPTS=0", "TF_NUM_INTRAOP_THREADS=1"]
    go(book(tmp_path), [Case("a")])
    other = book(tmp_path, otherwise=found, gpu="Slide rule")
    assert book(tmp_path, otherwise=[], gpu="").find(Case("a")) is not None and other.find(Case("a")) is None
    assert results.described(other.machine) == ("Abacus, 2 cores, 24 GiB, Slide rule; TensorFlow 2; "
                                                "TF_ENABLE_ONEDNN_OPTS=0; TF_NUM_INTRAOP_THREADS=1")


def test_the_first_gpu_is_named_where_it_is_asked_for(monkeypatch):
    import tensorflow.compat.v1 as tf

    monkeypatch.setattr(tf.config.experimental, "list_physical_devices", lambda kind: ["one", "other"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"device_name": gpu}, raising=False)
    assert machine.machine({})["gpu"] == "" and machine.machine({}, gpu=True)["gpu"] == "one"
    monkeypatch.setattr(tf.config.experimental, "list_physical_devices", lambda kind: [])
    assert machine.machine({}, gpu=True)["gpu"] == ""


def test_what_other_programs_kept_busy_is_named():
    quiet, loud = (dict(made(Case(name)), load=load) for name, load in (("a", 2.9), ("b", 3.4)))
    for record in (quiet, loud):
        record["machine"] = {"cores": 2}
    name = " ".join(map(str, loud["case"].values()))
    assert results.busy([quiet], "so") == []
    assert results.busy([quiet, loud], "so") == [
        f"**Other programs kept the machine busy before {name} (load 3.4): so.**"]
    assert results.busy([loud], "so") == ["**Other programs kept the machine busy (load 3.4): so.**"]


def test_all_efforts_are_told():
    records = [made(Case("a")), made(Case("b"), steps=2), made(Case("c"))]
    assert results.effort(records) == "2 steps behind 3; 6 steps behind 3"
    assert results.effort(records[:1], lambda record: 4) == "4 rounds of 6 steps behind 3"


@pytest.mark.parametrize("text, words", [
    ("{", "no JSON"), ("{}", "no list of records"), ("[1]", "no list of records"), ('[{"case": {}}]', "no list"),
    ('[{"case": {"grows": 1}, "machine": {}}]', "a record of grows\n  expected: records of name, value\n"),
])
def test_a_file_of_something_else_is_refused(tmp_path, text, words):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(UserError, match=f"results.json: {words}"):
        go(book(tmp_path), [Case("a")])
    assert (tmp_path / "results.json").read_text() == text


@pytest.mark.parametrize("name, kind", [("performance", versus_pytorch.Case), ("growth", growth.Case),
                                        ("input_wait", input_wait.Case), ("two_ranks", two_ranks.Case),
                                        ("accuracy", time_to_score.Cell)])
def test_the_results_that_are_there_can_be_read(name, kind):
    assert results.read_records(str(ROOT / "docs" / f"{name}.json"), kind._fields)


def test_numbers_must_be_above_0():
    results.require_positive(steps=1, seconds=0.1)
    with pytest.raises(UserError, match="--seconds 0"):
        results.require_positive(steps=1, seconds=0.0)


def test_a_table_for_each_machine():
    other = {**made(Case("c")), "machine": {**MACHINE, "cores": 4}}
    text = results.tables([made(Case("a")), other, made(Case("b"))], lambda own: f"{len(own)} rows", ["head"],
                          lambda record: [record["case"]["name"]])
    assert text == ("Abacus, 2 cores, 24 GiB; TensorFlow 2; 2 rows; 2026-01-02.\n\nhead\na\nb\n\n"
                    "Abacus, 4 cores, 24 GiB; TensorFlow 2; 1 rows; 2026-01-02.\n\nhead\nc")


def test_sections_of_one_page_do_not_touch_each_other(tmp_path):
    path = tmp_path / "page.md"
    texts = {"one": "1", "two": "2"}
    path.write_text("".join("\n".join([*results.marks(name), ""]) for name in texts))
    for name, text in texts.items():
        results.write_section(str(path), name, text)
    first, second = path.read_text().split(results.marks("two")[0])
    assert "1" in first and "2" in second and "2" not in first


# Processes --------------------------------------------------------------------------------------------------------


def test_a_process_that_wants_more_memory_than_it_may_have_fails_alone():
    code = "import os; block = bytearray(2 ** 29); os.write(1, str(len(block)).encode())"
    assert finished([sys.executable, "-c", code], Surroundings(memory_bytes=2 ** 30)).output == str(2 ** 29)
    with pytest.raises(UserError, match="MemoryError"):
        finished([sys.executable, "-c", code], Surroundings(memory_bytes=2 ** 28))


def test_what_a_process_took_is_told():
    code = ("import os, resource, sys; block = bytearray(2 ** 28); "
            "os.write(1, str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss).encode()); os.write(2, b'well'); "
            "sys.exit(3)")
    ended = carried_out([sys.executable, "-c", code])
    assert (ended.code, ended.errors) == (3, "well")
    assert ended.memory_mib == pytest.approx(int(ended.output) / 1024.0, rel=0.05) and ended.memory_mib > 2 ** 8
    assert 0.0 < ended.seconds < 60.0 and 0.0 < ended.processor_seconds < 60.0


def test_a_process_that_is_killed_says_so():
    hanging = [sys.executable, "-c", "import signal; signal.pause()"]
    assert carried_out(hanging, Surroundings(limit=0.1)).code == -signal.SIGKILL
    with pytest.raises(UserError, match="not done after 0 s"):
        finished(hanging, Surroundings(limit=0.1))
    # Not by its limit.
    with pytest.raises(UserError, match="exit code -9"):
        finished([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], Surroundings(limit=60.0))


def test_a_process_that_fails_is_told_in_its_own_words(tmp_path):
    told = ("import sys; sys.stderr.write('said before\\nerror: --train_minutes 1: no time\\n  expected: time\\n"
            "  repair:   give 2\\n'); sys.exit(2)")
    path = tmp_path / "output.txt"
    for around in (Surroundings(), Surroundings(path=str(path))):
        with pytest.raises(UserError) as caught:
            finished([sys.executable, "-c", told], around)
        assert caught.value.args == ("--train_minutes 1: no time", "time", "give 2")
        with pytest.raises(UserError, match="exit code 3: no luck"):
            finished([sys.executable, "-c", "import os; os.write(2, b'no luck'); os._exit(3)"], around)
        assert finished([sys.executable, "-c", "print('well')"], around).output == "well\n"
    assert path.read_text() == "well\n"


def test_a_process_ends_with_the_command(tmp_path, capfd):
    """The child tells this process to end, and must be gone when that has heeded it."""
    code = ("import os, signal, time\n"
            "def stop(*heard):\n    print('saved', flush=True)\n    raise SystemExit(0)\n"
            "signal.signal(signal.SIGTERM, stop)\nos.kill(os.getppid(), signal.SIGINT)\n"
            "while True:\n    time.sleep(60)")
    output = tmp_path / "output.txt"
    before = signal.getsignal(signal.SIGINT)
    ended = exit_code(lambda: stoppable(
        lambda: finished([sys.executable, "-c", code], Surroundings(path=str(output))) and None), debug=False)
    assert ended == 130 and output.read_text() == "saved\n"
    assert "to go on: repeat the command" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) == before


ENDLESS = """
import os, signal, sys
from concurrent.futures import ThreadPoolExecutor
sys.path.insert(0, sys.argv[1])
from benchmark.kit import results
from benchmark.kit.processes import finished
CHILD = [sys.executable, "-c",
         "import signal, sys; pipe = open(sys.argv[1], 'w'); print('here', file=pipe, flush=True); signal.pause()",
         sys.argv[2]]

def measure():
    with ThreadPoolExecutor(1) as pool:
        return list(pool.map(lambda _: finished(CHILD), range(1)))

sys.exit(results.command(measure))
"""


def test_sigterm_ends_what_was_started_in_threads_too(tmp_path):
    """What was started holds a pipe, which ends with it."""
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    with subprocess.Popen([sys.executable, "-c", ENDLESS, str(ROOT), pipe], stderr=subprocess.PIPE,
                          text=True) as process, open(pipe, encoding="ascii") as stream:
        assert stream.readline() == "here\n"
        process.terminate()
        _, errors = process.communicate(timeout=50.0)
        assert process.returncode == 143 and "to go on: repeat the command" in errors
        assert stream.read() == ""


@pytest.mark.parametrize("command, name, arguments", [
    (every_recipe, "MAIN", ["--only", "tinyunet"]), (unetpp_vs_unet, "MAIN", ["--output"]),
    (large_images, "MAIN", ["--out"]), (start_up, "__file__", ["--runs", "1", "--", "--model_dir"]),
])
def test_no_training_goes_on_behind_a_command_that_is_stopped(tmp_path, monkeypatch, command, name, arguments):
    """What stands in for it tells its number, and has the command stopped."""
    stand_in, told = tmp_path / "stand_in.py", tmp_path / "told"
    stand_in.write_text(f"import os, signal\nopen({str(told)!r}, 'w').write(str(os.getpid()))\n"
                        "os.kill(os.getppid(), signal.SIGTERM)\nsignal.pause()\n")
    monkeypatch.setattr(command, name, str(stand_in))
    assert command.main([*arguments, *([] if "tinyunet" in arguments else [str(tmp_path / "runs")])]) == 143
    assert not process_alive(int(told.read_text()))


@pytest.mark.parametrize("failures, code", [([], 0), (["a case"], 1), (None, 0)])
def test_a_command_ends_with_1_where_a_case_failed(failures, code):
    assert results.command(lambda: failures) == code


def test_a_benchmark_is_asked_for_as_a_user_would(monkeypatch):
    seen = []

    def stub(words, around):
        seen.append((list(words), around))
        directory = words[words.index("--log_dir") + 1]
        record = {"type": "LOG", "step": [], "timestamp": "1.5", "data": {"latency_train_50": 250.0}}
        with open(f"{directory}/log.json", "w") as stream:
            stream.write(f"DLLL {json.dumps(record)}\n")
        return Ended(0, seconds=1.5)

    monkeypatch.setattr(runs, "finished", stub)
    around = Surroundings(environment={"A": "b"}, memory_bytes=7)
    found = runs.benchmark(["--recipe", "r"], runs.Effort(3, 5, 60.0), around, ("launch", "-np", "2"))
    ((words, given),) = seen
    assert found == {"latency_train_50": 250.0, "ended": 1.5, "seconds": 1.5}
    assert words[:7] == ["launch", "-np", "2", sys.executable, runs.MAIN, "--benchmark", "--recipe"]
    assert [words[words.index(flag) + 1] for flag in ("--max_steps", "--warmup_steps")] == ["8", "3"]
    assert given == around._replace(limit=60.0)


def test_runs_go_on_until_none_leaves_kernels_to_the_next(monkeypatch):
    said = [f"{runs.LEFT}\n"] * 2 + ["done\n"] * 2
    monkeypatch.setattr(runs, "finished", lambda *_: Ended(0, "", said.pop(0)))
    runs.settle(["--recipe", "r"], 60.0)
    assert said == ["done\n"]


def test_runs_say_what_they_leave_in_these_words(tmp_path, capsys):
    def slow(convolution, way):
        yield 2 * kernel_gradients.PATIENCE

    chooser = kernel_gradients.KernelGradients("Abacus", slow, str(tmp_path))
    for filters in (512, 256):
        chooser(Convolution(1, 64, 64, 512, filters, 3, 1))
    assert runs.LEFT in capsys.readouterr().err


def test_runs_that_keep_nothing_are_told(monkeypatch):
    monkeypatch.setattr(runs, "finished", lambda *_: Ended(0, "", runs.LEFT))
    with pytest.raises(UserError, match="kernels whose gradients are not measured yet"):
        runs.settle([], 60.0)


# Timelines --------------------------------------------------------------------------------------------------------


def activity(tensor, name, start, end):
    """Horovod's: a negotiation or an operation, with parts within it."""
    within = [{"ph": "B", "name": "GLOO_ALLREDUCE", "ts": start, "pid": tensor}, {"ph": "E", "ts": end, "pid": tensor}]
    return [{"ph": "B", "name": name, "ts": start, "pid": tensor}, *(within if name == "ALLREDUCE" else []),
            {"ph": "E", "ts": end, "pid": tensor}]


def timeline():
    """Two tensors, three steps of 100 that end at 100, 200 and 300; one sum in the second step alone."""
    events = [{"name": "process_name", "ph": "M", "pid": 0, "args": {"name": "gather"}},
              *activity(0, "ALLGATHER", 1, 90)]
    for end in (100, 200, 300):
        events += activity(1, "NEGOTIATE_ALLREDUCE", end - 60, end - 40) + activity(1, "ALLREDUCE", end - 40, end - 20)
        events += activity(2, "NEGOTIATE_ALLREDUCE", end - 50, end - 30) + activity(2, "ALLREDUCE", end - 30, end)
    return [*events, *activity(3, "ALLREDUCE", 110, 130)]


def test_shares_of_a_timeline():
    """Of 200: 40 in each step and 20 once; negotiations add 20 each."""
    assert shares(timeline(), 1) == pytest.approx((0.5, 0.7))


def test_a_timeline_may_lack_its_end(tmp_path):
    path = tmp_path / "timeline.json"
    whole = json.dumps(timeline())
    for text in (whole, whole[:-1] + ",\n"):
        path.write_text(text)
        assert read_timeline(str(path)) == timeline()
    path.write_text("[{")
    with pytest.raises(UserError, match="no timeline"):
        read_timeline(str(path))


@pytest.mark.parametrize("events, warmup", [([], 1), (timeline(), 3), (timeline(), 0)])
def test_a_timeline_without_steps_that_count_is_told(events, warmup):
    with pytest.raises(UserError, match="do not count"):
        shares(events, warmup)
