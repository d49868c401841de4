"""The variables that Ascend's adapter reads: every wrong one is told with what to export."""

from __future__ import annotations

import json

import pytest

from runtime.ascend.environment import AscendEnvironment, announced_size, complete, read_environment
from runtime.ascend.rank_table import NEW, as_json, make_rank_table
from utils.errors import UserError

ALONE = {"JOB_ID": "10087"}
CHIEF = {"JOB_ID": "10087", "CM_CHIEF_IP": "10.0.0.1", "CM_CHIEF_PORT": "6000", "CM_CHIEF_DEVICE": "0",
         "CM_WORKER_SIZE": "8", "CM_WORKER_IP": "10.0.0.1", "ASCEND_DEVICE_ID": "3"}


@pytest.fixture()
def ranked(tmp_path):
    """The variables of rank 1 of two, on the devices 4 and 5."""
    path = tmp_path / "hccl.json"
    path.write_text(json.dumps(as_json(make_rank_table("10.0.0.1", [4, 5], ["1.1.1.1", "1.1.1.2"]), NEW)))
    return {"JOB_ID": "10087", "RANK_ID": "1", "RANK_SIZE": "2", "RANK_TABLE_FILE": str(path), "ASCEND_DEVICE_ID": "5"}


@pytest.mark.parametrize("variables, expected", [
    ({}, AscendEnvironment(0, 1, 0)), ({"ASCEND_DEVICE_ID": "3"}, AscendEnvironment(3, 1, 0)),
    ({"DEVICE_ID": "2"}, AscendEnvironment(2, 1, 0)), ({"RANK_SIZE": "1", "RANK_ID": "0"}, AscendEnvironment(0, 1, 0)),
    ({"RANK_TABLE_FILE": "", "RANK_SIZE": ""}, AscendEnvironment(0, 1, 0))])
def test_one_device_needs_a_job_and_no_ranks(variables, expected):
    assert read_environment({**ALONE, **variables}) == expected


def test_ranks_of_a_table(ranked):
    found = read_environment(ranked)
    assert (found.device, found.size, found.rank) == (5, 2, 1)
    assert found.table.local(1) == (1, 2)


def test_ranks_of_a_chief_are_not_known_yet():
    assert read_environment(CHIEF) == AscendEnvironment(3, 8, None)


@pytest.mark.parametrize("job", ["", "a b", "0123", "job/1", "ä"])
def test_a_job_id_that_the_adapter_refuses(job):
    with pytest.raises(UserError, match="export JOB_ID="):
        read_environment({"JOB_ID": job})


@pytest.mark.parametrize("job", ["10087", "job9999001", "a-b_c", "0"])
def test_a_job_id_that_it_takes(job):
    assert read_environment({"JOB_ID": job}).size == 1


@pytest.mark.parametrize("name", ["LOCAL_CHECKPOINT_DIR", "RESTORE_FROM"])
def test_what_would_change_a_run_unseen_is_refused(name):
    with pytest.raises(UserError, match=f"unset {name}"):
        read_environment({**ALONE, name: "something"})


def test_a_pod_name_that_the_adapter_would_take_for_the_rank_is_refused(ranked):
    with pytest.raises(UserError, match="unset POD_NAME"):
        read_environment({**ranked, "POD_NAME": "trainer-1"})
    assert read_environment({**ranked, "POD_NAME": ranked["RANK_ID"]}).rank == 1


@pytest.mark.parametrize("name, value, words", [
    ("RANK_ID", "jobname-worker-0", "export RANK_ID=0"), ("RANK_ID", "2", "from 0 to 1"),
    ("RANK_ID", "", "RANK_ID is not set"), ("RANK_SIZE", "two", "export RANK_SIZE="),
    ("RANK_SIZE", "0", "not below 1"), ("RANK_SIZE", "4", "lists 2 ranks"), ("RANK_SIZE", "1", "RANK_ID=1"),
    ("RANK_TABLE_FILE", "", "exec_mode rank_table"), ("RANK_TABLE_FILE", "/nowhere/hccl.json", "No such file"),
    ("ASCEND_DEVICE_ID", "", "ASCEND_DEVICE_ID is not set"), ("ASCEND_DEVICE_ID", "4", "export ASCEND_DEVICE_ID=5"),
    ("ASCEND_DEVICE_ID", "-1", "export ASCEND_DEVICE_ID"), ("CM_CHIEF_IP", "10.0.0.1", "set together")])
def test_wrong_ranks_of_a_table(ranked, name, value, words):
    with pytest.raises(UserError, match=words):
        read_environment({**ranked, name: value})


@pytest.mark.parametrize("name, value, words", [
    ("CM_CHIEF_IP", "", "export CM_CHIEF_IP"), ("CM_WORKER_IP", "host", "an IP address"),
    ("CM_CHIEF_PORT", "70000", "from 0 to 65520"), ("CM_CHIEF_DEVICE", "8", "from 0 to 7"),
    ("CM_WORKER_SIZE", "all", "export CM_WORKER_SIZE"), ("CM_WORKER_SIZE", "", "CM_WORKER_SIZE missing"),
    ("RANK_SIZE", "8", "set together"), ("ASCEND_DEVICE_ID", "", "ASCEND_DEVICE_ID is not set")])
def test_wrong_ranks_of_a_chief(name, value, words):
    with pytest.raises(UserError, match=words):
        read_environment({**CHIEF, name: value})


@pytest.mark.parametrize("variables, size", [
    ({}, 1), ({"RANK_SIZE": "8"}, 8), ({"CM_WORKER_SIZE": "4"}, 4), ({"RANK_SIZE": "pod"}, 1)])
def test_how_many_ranks_are_announced(variables, size):
    assert announced_size(variables) == size


def test_a_single_rank_is_said_to_be_one():
    variables = dict(ALONE, RANK_SIZE="")
    complete(variables, read_environment(variables))
    assert variables == dict(ALONE, RANK_SIZE="1", RANK_ID="0")
    variables = dict(CHIEF)
    complete(variables, read_environment(variables))
    assert variables == CHIEF
