"""The Dockerfiles, by what can be said of them without executing them; and the module that executes them."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from pathlib import Path
from typing import Dict, List, Sequence

import pytest

from . import dockerfile
from .conftest import ROOT
from .dockerfile import Identity, Image, build
from .dockerfile_text import DockerfileError, Ignored, parse, words

DOCKERFILES = ("Dockerfile", "Dockerfile.ascend")
PASSWD = "root:x:0:0:root:/root:/bin/bash\nunet:x:1000:1001::/home/unet:/bin/bash\n"
GROUP = "root:x:0:\nunet:x:1001:\nvideo:x:44:other,unet\n"


class Entered(List[tuple]):
    """What would have been run inside the tree."""

    code = 0

    def __call__(self, tree: str, identity: Identity, workdir: str, environment: Dict[str, str],
                 command: Sequence[str]) -> int:
        self.append((identity, workdir, environment, list(command)))
        return self.code


@pytest.fixture()
def entered():
    return Entered()


@pytest.fixture()
def context(tmp_path):
    directory = tmp_path / "con text"
    for name in ("main.py", "data/volume.tif", "room/a.py", "room/__pycache__/a.pyc", "room/deep/b.py"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)
    return directory


@pytest.fixture()
def tree(tmp_path):
    directory = tmp_path / "tr ee"
    (directory / "etc").mkdir(parents=True)
    (directory / "etc" / "passwd").write_text(PASSWD)
    (directory / "etc" / "group").write_text(GROUP)
    return directory


@pytest.fixture()
def made(context, tree, entered):
    """Builds a Dockerfile whose first line is given, and returns the image."""
    def make(text: str, **arguments: str) -> Image:
        image = Image(str(tree), str(context), arguments, {"PIP_INDEX_URL": "lent"}, entered)
        build(image, f"FROM base\n{text}", lambda line: None)
        return image
    return make


def files(directory: Path) -> List[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


# The project's Dockerfiles ----------------------------------------------------------------------------------------


@pytest.fixture(params=DOCKERFILES)
def instructions(request):
    return parse((ROOT / request.param).read_text(encoding="utf-8"))


def values(instructions, name: str) -> List[str]:
    return [instruction.value for instruction in instructions if instruction.name == name]


def test_every_instruction_is_known(instructions):
    assert {instruction.name for instruction in instructions} <= set(dockerfile.KNOWN)


def test_the_base_image_is_an_argument_with_one_tag(instructions):
    assert values(instructions, "FROM") == ["${FROM_IMAGE_NAME}"]
    assert re.fullmatch(r"FROM_IMAGE_NAME=[\w./-]+:[\w.-]+", values(instructions, "ARG")[0])


def test_what_is_copied_exists(instructions):
    ignored = Ignored((ROOT / ".dockerignore").read_text(encoding="utf-8"))
    for value in values(instructions, "COPY"):
        source = words(value, {})[0].rstrip("/")
        assert (ROOT / source).exists()
        assert source == "." or not ignored(source)


def test_requirements_come_before_the_source(instructions):
    assert values(instructions, "COPY") == ["requirements/ requirements/", ". ."]
    between = "".join(values(instructions, "RUN")[:1])
    assert "pip install" in between
    assert [name for name in re.findall(r"requirements/([\w.]+\.(?:txt|py))", between)
            if not (ROOT / "requirements" / name).exists()] == []


def test_a_container_runs_as_a_user_and_starts_a_shell(instructions):
    assert values(instructions, "USER")[-1] == "${USER_ID}"
    assert "USER_ID=1000" in values(instructions, "ARG")
    assert values(instructions, "CMD") == ['["bash"]']
    assert [instruction.name for instruction in instructions][-2:] == ["USER", "CMD"]


def test_the_directories_of_the_model_card_are_made(instructions):
    assert any("mkdir -p /data /results" in value for value in values(instructions, "RUN"))


def test_steps_are_plain_shell(instructions, tmp_path):
    for value in values(instructions, "RUN"):
        assert subprocess.run(["sh", "-n", "-c", value], check=False, timeout=60).returncode == 0
        assert "[[" not in value


def test_TensorFlow_of_the_image_is_not_replaced():
    for name in ("base.txt", "ascend.txt"):
        named = [line for line in (ROOT / "requirements" / name).read_text().splitlines() if not line.startswith("#")]
        assert not [line for line in named if line.lower().startswith(("tensorflow", "horovod", "npu"))]


def tracked_files() -> List[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=str(ROOT), stdout=subprocess.PIPE, check=False, timeout=60)
    return listed.stdout.decode().splitlines()


@pytest.mark.parametrize("path", [".git", ".git/config", ".venv", ".venv-test/bin/python", "data/sstem/a.tif",
                                  "results", "results_2/log.json", "runs/run_1/settings.json", "test/output/1/a.log",
                                  "runtime/__pycache__/a.pyc", ".mypy_cache", "Dockerfile.ascend",
                                  "check/contact_sheet.png"])
def test_what_stays_out_of_the_image(path):
    assert Ignored((ROOT / ".dockerignore").read_text(encoding="utf-8"))(path)


@pytest.mark.parametrize("path", ["main.py", "datasets/sstem.py", "test/run_tests.sh", "requirements/base.txt",
                                  "runtime/ascend/mixlist.json", "test/ascend/adapter/npu_bridge/__init__.py"])
def test_what_goes_into_the_image(path):
    assert (ROOT / path).exists()
    assert not Ignored((ROOT / ".dockerignore").read_text(encoding="utf-8"))(path)


def test_the_source_goes_in_whole():
    tracked = tracked_files()
    if not tracked:
        pytest.skip("not a git checkout")
    ignored = Ignored((ROOT / ".dockerignore").read_text(encoding="utf-8"))
    kept_out = [path for path in tracked if ignored(path)]
    assert [path for path in kept_out if not path.startswith((".", "Dockerfile"))] == []


# Reading -----------------------------------------------------------------------------------------------------------


def test_continued_lines_and_comments():
    text = "# about\n\nARG A=1\nFROM base\nRUN one \\\n  # between\n\n && two \\\n && three\nUSER x\n"
    found = parse(text)
    assert [(instruction.line, instruction.name) for instruction in found] == [
        (3, "ARG"), (4, "FROM"), (5, "RUN"), (10, "USER")]
    assert found[2].value.split() == ["one", "&&", "two", "&&", "three"]


@pytest.mark.parametrize("text", ["# escape=`\nFROM a", "#syntax=docker/dockerfile:1\nFROM a", "RUN cat <<EOF\nEOF",
                                  "COPY --chown=1 a b", "RUN --mount=type=cache true", "RUN true \\\n",
                                  "FROM --platform=linux/arm64 a"])
def test_what_is_not_known_is_refused_on_reading(text):
    with pytest.raises(DockerfileError):
        parse(text)


@pytest.mark.parametrize("text", ["ENTRYPOINT [\"a\"]", "ADD a b", "SHELL [\"bash\"]", "VOLUME /a", "RUNS true",
                                  "HEALTHCHECK NONE"])
def test_nothing_is_executed_where_an_instruction_is_not_known(made, entered, text):
    with pytest.raises(DockerfileError, match="line 3: .* is not known"):
        made(f"RUN true\n{text}")
    assert entered == []


@pytest.mark.parametrize("text", ["FROM other", "ENV A b", "CMD bash", "COPY only", "COPY ../a b", "COPY *.py b/",
                                  "COPY none b", "COPY main.py room/a.py both", "USER nobody", "ARG a-b", "ENV A=\"b"])
def test_what_is_wrong_is_told_with_its_line(made, text):
    with pytest.raises(DockerfileError, match="^line 2: "):
        made(text)


def test_an_instruction_before_FROM():
    with pytest.raises(DockerfileError, match="RUN before FROM"):
        Image("/", "/", entered=Entered()).execute(parse("RUN true")[0])


@pytest.mark.parametrize("text, expected", [
    ("a  b", ["a", "b"]), ("'a $X' b", ["a $X", "b"]), ('"a $X" b', ["a 1 2", "b"]), ("$X", ["1 2"]),
    ("${X}y${NONE}z", ["1 2yz"]), ("${NONE:-d}", ["d"]), ("${X:-d}", ["1 2"]), ("${X:+d}", ["d"]),
    ("${NONE:+d}", [""]), (r"a\ b \$X", ["a b", "$X"]), (r'"\"\$X\n"', [r'"$X\n']), ("A=", ["A="]), ("", [])])
def test_words_and_variables(text, expected):
    assert words(text, {"X": "1 2"}) == expected


@pytest.mark.parametrize("text", ["'a", '"a', "${X:?a}", "${X", "$"])
def test_words_that_cannot_be_read(text):
    with pytest.raises(DockerfileError):
        words(text, {"X": "1"})


@pytest.mark.parametrize("rules, out, kept", [
    ("/data", ["data", "data/a/b"], ["room/data", "data2"]),
    ("data/", ["data/a"], ["a/data"]),
    ("*.py", ["a.py"], ["room/a.py"]),
    ("**/*.pyc", ["a.pyc", "a/b/c.pyc"], ["a.py"]),
    ("**/cache", ["cache/a", "a/b/cache"], ["acache"]),
    ("a/**", ["a/b", "a/b/c"], ["a", "b"]),
    ("a?", ["ab", "ab/c"], ["a", "abc"]),
    ("# a\n\n  b  ", ["b"], ["# a"]),
    ("*.md\n!README.md", ["a.md"], ["README.md"]),
    ("!README.md\n*.md", ["README.md"], ["a"]),
    ("a\n!a/b", ["a", "a/c"], ["a/b", "a/b/c"]),
    ("./a/../b", ["b"], ["a"]),
])
def test_dockerignore(rules, out, kept):
    ignored = Ignored(rules)
    assert [path for path in out if not ignored(path)] == []
    assert [path for path in kept if ignored(path)] == []


def test_dockerignore_that_is_not_known():
    with pytest.raises(DockerfileError):
        Ignored("[ab]")


# Executing ---------------------------------------------------------------------------------------------------------


def test_arguments_defaults_and_environment(made):
    text = "ARG A=1\nARG B=${A}2\nARG C\nENV A=3 D=\"$A $B\"\nLABEL x=$A"
    image = made(text)
    assert (image.arguments, image.environment["A"], image.environment["D"]) == ({"A": "1", "B": "12"}, "3", "1 12")
    assert image.labels == {"x": "3"}
    assert made(text, A="9", C="c").environment["D"] == "9 92"


def test_arguments_before_FROM_reach_FROM_alone(tree, context, entered):
    image = Image(str(tree), str(context), {"TAG": "2"}, entered=entered)
    build(image, "ARG TAG=1\nARG NAME=a:${TAG}\nFROM ${NAME}\nENV X=$NAME\nARG NAME\nENV Y=$NAME", lambda line: None)
    assert (image.base, image.environment["X"], image.environment["Y"]) == ("a:2", "", "a:2")


def test_a_step_runs_in_its_directory_with_its_environment_and_user(made, entered, tree):
    made("ARG A=1\nENV A=2 B=3\nWORKDIR /a\nWORKDIR b\nRUN one $A\nUSER unet\nRUN [\"two\", \"x y\"]")
    first, second = entered
    assert first[0] == Identity(0, 0, (), "/root")
    assert first[1:] == ("/a/b", {"HOME": "/root", "PATH": dockerfile.PATH, "A": "2", "B": "3",
                                  "PIP_INDEX_URL": "lent"}, ["/bin/sh", "-c", "one $A"])
    assert second[0] == Identity(1000, 1001, (44,), "/home/unet")
    assert second[3] == ["two", "x y"]
    assert (tree / "a" / "b").is_dir()


def test_a_container_has_the_environment_and_not_the_arguments(made, entered):
    image = made("ARG A=1\nENV B=2\nUSER unet\nCMD [\"bash\"]")
    assert image.run([*image.command, "-c", "true"], environment={"C": "3"}) == 0
    assert entered == [(Identity(1000, 1001, (44,), "/home/unet"), "/",
                        {"HOME": "/home/unet", "PATH": dockerfile.PATH, "B": "2", "C": "3"}, ["bash", "-c", "true"])]


@pytest.mark.parametrize("user, expected", [
    ("0", Identity(0, 0, (), "/root")), ("1000", Identity(1000, 1001, (44,), "/home/unet")),
    ("unet:video", Identity(1000, 44, (), "/home/unet")), ("4242", Identity(4242, 0, (), "/")),
    ("4242:77", Identity(4242, 77, (), "/"))])
def test_who_a_user_is(made, user, expected):
    assert made("").identity(user) == expected


@pytest.mark.parametrize("user", ["nobody", "unet:nobody"])
def test_a_user_whom_nobody_knows(made, user):
    with pytest.raises(DockerfileError, match="nobody is not in the image's"):
        made("").identity(user)


def test_a_command_that_fails_ends_the_build(made, entered):
    entered.code = 3
    with pytest.raises(DockerfileError, match="line 2: the command ended with 3"):
        made("RUN false\nRUN true")
    assert len(entered) == 1


def test_the_context_is_copied_without_what_is_ignored(made, context, tree):
    (context / ".dockerignore").write_text("/data\n**/__pycache__\n.dockerignore\n")
    (context / "link").symlink_to("main.py")
    os.chmod(str(context / "main.py"), 0o640)
    made("WORKDIR /work/unet\nCOPY . .")
    assert files(tree / "work") == ["unet/link", "unet/main.py", "unet/room/a.py", "unet/room/deep/b.py"]
    assert os.readlink(str(tree / "work" / "unet" / "link")) == "main.py"
    assert (tree / "work" / "unet" / "main.py").stat().st_mode & 0o777 == 0o640


def test_a_directory_lends_its_contents_and_a_file_its_name(made, tree):
    made("WORKDIR /w\nCOPY room/ copied/\nCOPY main.py other.py\nCOPY main.py room/a.py both/\nCOPY main.py copied")
    assert files(tree / "w") == ["both/a.py", "both/main.py", "copied/__pycache__/a.pyc", "copied/a.py",
                                 "copied/deep/b.py", "copied/main.py", "other.py"]


def test_an_exception_below_a_directory_that_is_kept_out(made, context, tree):
    (context / ".dockerignore").write_text("*\n!room/deep\n")
    made("COPY . /w/")
    assert files(tree / "w") == ["room/deep/b.py"]


def test_a_link_of_the_image_leads_no_copy_out_of_the_tree(made, tree, tmp_path):
    (tree / "out").symlink_to(str(tmp_path))
    with pytest.raises(DockerfileError, match="symbolic link"):
        made("COPY main.py /out/main.py")
    assert not (tmp_path / "main.py").exists()


def test_the_command_builds_and_runs(tmp_path, context, tree, entered, capsys):
    (tmp_path / "file").write_text("FROM base\nUSER unet\nCMD [\"bash\"]\n")
    given = [str(tmp_path / "file"), str(context), str(tree)]
    assert dockerfile.main([*given, "--env", "A=b", "--run", "", "one", "--run", "4:5", "two"], entered) == 0
    assert [(call[0].user, call[2]["A"], call[3]) for call in entered] == [
        (1000, "b", ["bash", "-c", "one"]), (4, "b", ["bash", "-c", "two"])]
    assert "step 2/3: USER unet" in capsys.readouterr().out
    entered.code = 7
    assert dockerfile.main([*given, "--run", "", "one"], entered) == 1
    assert "one: ended with 7" in capsys.readouterr().err


def test_the_command_names_the_file_that_is_not_there(tmp_path, capsys):
    assert dockerfile.main([str(tmp_path / "none"), str(tmp_path), str(tmp_path)]) == 1
    assert "none" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        dockerfile.main(["a", "b", "c", "--build-arg", "d"])


# What an image has installed ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keep_installed():
    spec = importlib.util.spec_from_file_location("keep_installed", str(ROOT / "requirements" / "keep_installed.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pins_of_installed_packages_follow_the_image(keep_installed):
    text = "# numpy==9\n-c constraints.txt\nnumpy==1.26.4\nOpt_Einsum==3.4.0  # why\npooch==1.8.2\nmatplotlib\n"
    there = {"numpy": "1.24.4", "opt-einsum": "3.3.0+nv1", "matplotlib": "3.8"}
    assert keep_installed.kept(text, there) == text.replace("1.26.4", "1.24.4").replace("3.4.0", "3.3.0+nv1")


def test_the_requirements_file_is_rewritten(keep_installed, tmp_path, monkeypatch, capsys):
    path = tmp_path / "pins.txt"
    path.write_text("PyTest==0.0.1\nno-such-package==1.0\n")
    monkeypatch.setattr("sys.argv", ["keep_installed.py", str(path)])
    keep_installed.main()
    assert path.read_text() == f"PyTest=={pytest.__version__}\nno-such-package==1.0\n"
    assert capsys.readouterr().out == f"the image's PyTest=={pytest.__version__} stays, instead of 0.0.1\n"


# The script, as far as it goes without being root --------------------------------------------------------------------


@pytest.mark.parametrize("arguments, said", [(["nowhere"], "nowhere: no such file"),
                                             (["Dockerfile", "test"], "test is there already"),
                                             (["a", "b", "c"], "too many arguments"),
                                             (["Dockerfile.ascend"], "PYTHON_PREFIX must name")])
def test_the_script_refuses_a_wrong_call(arguments, said):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_PREFIX"}
    ended = subprocess.run(["bash", "test/try_dockerfile.sh", *arguments], cwd=str(ROOT), timeout=60, check=False,
                           env=environment, capture_output=True, text=True)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "usage:" in ended.stderr


def test_the_script_lends_what_is_there():
    ended = subprocess.run(["bash", "test/try_dockerfile.sh"], cwd=str(ROOT), timeout=60, check=False,
                           env={**os.environ, "LEND": "/etc:/no where"}, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "LEND: /no where is not there" in ended.stderr
