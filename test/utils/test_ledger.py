"""A ledger holds what was noted, whatever happened at its end."""

from __future__ import annotations

from typing import Any

import pytest

from utils.ledger import Ledger


def test_what_was_noted_is_there_again(tmp_path: Any) -> None:
    path = str(tmp_path / "deep" / "ledger")
    ledger = Ledger(path, {"image": ("a", 1)})
    ledger.note({"rows": [1, 2]})
    ledger.note(7)
    again = Ledger(path, {"image": ("a", 1)})
    assert again.entries == [{"rows": [1, 2]}, 7]
    again.note(8)
    assert Ledger(path, {"image": ["a", 1]}).entries == [{"rows": [1, 2]}, 7, 8]


@pytest.mark.parametrize("torn", [b"9", b'{"rows": [1', b"\xff\xfe\n", b"{\n12\n"])
def test_a_torn_end_is_cut_off(tmp_path: Any, torn: bytes) -> None:
    path = tmp_path / "ledger"
    Ledger(str(path), {}).note(7)
    path.write_bytes(path.read_bytes() + torn)
    ledger = Ledger(str(path), {})
    assert ledger.entries == [7]
    ledger.note(8)
    assert path.read_bytes() == b"{}\n7\n8\n"


def test_something_else_is_refused_and_all_can_be_forgotten(tmp_path: Any) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(str(path), {"image": "a"})
    ledger.note(7)
    with pytest.raises(ValueError, match="not of {'image': 'b'}, but of {'image': 'a'}"):
        Ledger(str(path), {"image": "b"})
    ledger.begin_anew()
    assert (ledger.entries, path.read_bytes()) == ([], b'{"image": "a"}\n')
