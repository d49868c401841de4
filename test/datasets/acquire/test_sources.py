from __future__ import annotations

import pytest

from datasets.acquire.sources import CATALOGUE, entry_of
from datasets.acquire.sstem import PUBLISHED_PIXELS
from utils.errors import UserError


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_entries_are_complete(name):
    entry = entry_of(name, CATALOGUE)
    assert entry.name == name
    assert entry.home.startswith("https://")
    assert entry.remotes and len(set(entry.names)) == len(entry.remotes)
    assert all(source.startswith(("http://", "https://")) for source in entry.sources)


def test_every_volume_has_its_published_pixels():
    assert tuple(name for name, _ in PUBLISHED_PIXELS) == CATALOGUE["sstem"].names


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UserError) as caught:
        entry_of("stem", CATALOGUE)
    assert "unknown data set 'stem'" in caught.value.found
    assert "'sstem'" in caught.value.repair
