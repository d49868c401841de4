"""Rank tables: written in two formats, read back, and refused where the Ascend 910 would."""

from __future__ import annotations

import copy
import json

import pytest

import main as command_line
from runtime.ascend.rank_table import (
    NEW,
    OLD,
    RankedDevice,
    RankTable,
    as_json,
    check_rank_table,
    make_rank_table,
    read_rank_table,
)
from runtime.modes.tabulate import tabulate
from utils.errors import UserError

SERVER = "10.0.0.1"


def addresses(count, first=101):
    return [f"192.168.100.{first + number}" for number in range(count)]


def stored(tmp_path, document):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(document))
    return str(path)


@pytest.mark.parametrize("form", [NEW, OLD])
@pytest.mark.parametrize("devices", [[0], [3], [4, 5], [0, 1, 2, 3], [4, 5, 6, 7], list(range(8)), [1, 0]])
def test_what_is_written_is_read_back(tmp_path, form, devices):
    table = make_rank_table(SERVER, devices, addresses(len(devices)))
    assert read_rank_table(stored(tmp_path, as_json(table, form))) == table


def test_the_new_format_is_that_of_the_documentation():
    assert as_json(make_rank_table(SERVER, [4, 5], addresses(2)), NEW) == {
        "server_count": "1", "status": "completed", "version": "1.0",
        "server_list": [{"server_id": SERVER, "device": [
            {"device_id": "4", "device_ip": "192.168.100.101", "rank_id": "0"},
            {"device_id": "5", "device_ip": "192.168.100.102", "rank_id": "1"}]}]}


def test_the_old_format_has_every_key_of_a_lab_table():
    document = as_json(make_rank_table(SERVER, [0, 1], addresses(2)), OLD)
    assert set(document) == {"board_id", "chip_info", "deploy_mode", "group_count", "group_list", "status",
                             "para_plane_nic_location", "para_plane_nic_name", "para_plane_nic_num"}
    (group,) = document["group_list"]
    assert (group["device_num"], group["server_num"], group["instance_count"]) == ("2", "1", "2")
    assert group["instance_list"][1] == {
        "devices": [{"device_id": "1", "device_ip": "192.168.100.102"}], "rank_id": "1", "server_id": SERVER}


@pytest.mark.parametrize("devices, words", [
    ([0, 1, 2], "1, 2, 4 or 8 devices"), ([3, 4], "one half of the board"), ([2, 3, 4, 5], "one half of the board"),
    ([0, 8], "from 0 to 7"), ([1, 1], "each once"), ([0, 1, 2, 3, 4, 5], "1, 2, 4 or 8")])
def test_the_placement_rules_of_the_910(devices, words):
    with pytest.raises(UserError, match=words):
        make_rank_table(SERVER, devices, addresses(len(devices)))


def test_servers_lend_the_same_number_of_devices():
    ranks = [RankedDevice("10.0.0.1", 0, "1.1.1.1"), RankedDevice("10.0.0.2", 0, "1.1.1.2"),
             RankedDevice("10.0.0.2", 1, "1.1.1.3")]
    with pytest.raises(UserError, match="as many devices on every server"):
        check_rank_table(RankTable(tuple(ranks)), "table.json")


def test_a_rank_knows_its_place_on_its_server(tmp_path):
    document = as_json(make_rank_table(SERVER, [0, 1], addresses(2)), NEW)
    second = as_json(make_rank_table("10.0.0.2", [4, 5], addresses(2, 201)), NEW)["server_list"][0]
    for entry in second["device"]:
        entry["rank_id"] = str(int(entry["rank_id"]) + 2)
    document["server_list"].append(second)
    document["server_count"] = "2"
    table = read_rank_table(stored(tmp_path, document))
    assert [table.local(rank) for rank in range(4)] == [(0, 2), (1, 2), (0, 2), (1, 2)]


GOOD = as_json(make_rank_table(SERVER, [0, 1], addresses(2)), NEW)


def changed(change):
    document = copy.deepcopy(GOOD)
    change(document, document["server_list"][0]["device"])
    return document


@pytest.mark.parametrize("change, words", [
    (lambda document, devices: document.pop("server_list"), "server_list"),
    (lambda document, devices: document.update(server_count="2"), "server_count"),
    (lambda document, devices: document.update(status="initializing"), "status"),
    (lambda document, devices: devices[0].update(rank_id=0), "not a string"),
    (lambda document, devices: devices[0].update(rank_id="1"), "each of 0 to 1 once"),
    (lambda document, devices: devices[0].update(rank_id="3"), "each of 0 to 1 once"),
    (lambda document, devices: devices[0].update(device_id="1"), "each once"),
    (lambda document, devices: devices[0].update(device_id="x"), "not the form"),
    (lambda document, devices: devices[0].update(device_ip="192.168.100"), "IP address"),
    (lambda document, devices: devices[0].update(device_ip="192.168.100.102"), "share an address"),
    (lambda document, devices: devices.clear(), "lists no device"),
])
def test_a_broken_table_is_refused_in_words(tmp_path, change, words):
    with pytest.raises(UserError, match=words):
        read_rank_table(stored(tmp_path, changed(change)))


@pytest.mark.parametrize("text", ["", "[]", "{", "7", '{"group_list": [7]}'])
def test_what_is_no_table_at_all_is_refused(tmp_path, text):
    (tmp_path / "table.json").write_text(text)
    with pytest.raises(UserError, match="rank_table"):
        read_rank_table(str(tmp_path / "table.json"))


def test_the_command_writes_a_table_without_any_run(tmp_path, capsys):
    output = tmp_path / "some where" / "hccl.json"
    arguments = ["--exec_mode", "rank_table", "--devices", "0-7", "--server_ip", SERVER, "--output", str(output)]
    assert command_line.main([*arguments, "--device_ips", ",".join(addresses(8))]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == f"export JOB_ID=10087 RANK_SIZE=8 RANK_TABLE_FILE='{output}'"
    assert len(read_rank_table(str(output)).ranks) == 8
    assert sorted(tmp_path.iterdir()) == [output.parent]
    assert command_line.main(["--exec_mode", "rank_table", "--table", str(output)]) == 0
    assert f"rank 7: device 7 ({addresses(8)[7]}) of {SERVER}" in capsys.readouterr().out
    again = [*arguments, "--device_ips", ",".join(addresses(8))]
    assert command_line.main(again) == 0  # the same table
    output.write_text(output.read_text().replace(addresses(8)[7], addresses(8)[0]))
    assert command_line.main(again) == 2
    assert f"{output}: a file with other contents" in capsys.readouterr().err
    assert command_line.main(["--exec_mode", "rank_table", "--table", str(output)]) == 2
    assert "two devices share an address" in capsys.readouterr().err
    assert command_line.main([*again, "--overwrite"]) == 0
    assert len(read_rank_table(str(output)).ranks) == 8


def test_addresses_come_from_the_host_where_they_are_not_given(tmp_path):
    conf = tmp_path / "hccn.conf"
    conf.write_text("address_0=192.168.100.101\nnetmask_0=255.255.255.0\naddress_1=192.168.101.101\n")
    flags = {"exec_mode": "rank_table", "devices": "0,1", "server_ip": SERVER, "output": str(tmp_path / "table.json")}
    tabulate(flags, str(conf))
    assert [ranked.address for ranked in read_rank_table(flags["output"]).ranks] == [
        "192.168.100.101", "192.168.101.101"]
    with pytest.raises(UserError, match="no address of the devices 2, 3"):
        tabulate(dict(flags, devices="2-3"), str(conf))
    with pytest.raises(UserError, match="--devices 1-0"):
        tabulate(dict(flags, devices="1-0"), str(conf))
    with pytest.raises(UserError, match="No such file"):
        tabulate(flags, str(tmp_path / "nowhere"))


@pytest.mark.parametrize("flags, words", [
    ({"server_ip": SERVER}, "without --devices"), ({"devices": "0-7"}, "without --server_ip"),
    ({"devices": "a", "server_ip": SERVER}, "--devices a"), ({"devices": "3-0", "server_ip": SERVER}, "--devices"),
    ({"devices": "0,1", "server_ip": SERVER, "device_ips": "1.1.1.1"}, "1 device addresses for 2"),
    ({"devices": "0", "server_ip": "host", "device_ips": "1.1.1.1"}, "'host' as an address")])
def test_a_wrong_flag_is_told(tmp_path, flags, words):
    with pytest.raises(UserError, match=words):
        tabulate(dict(flags, exec_mode="rank_table", output=str(tmp_path / "table.json")))
    assert not (tmp_path / "table.json").exists()
