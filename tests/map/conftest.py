"""What the tests of maps share: a cache folder of their own, so that no ledger of the developer's is used."""

import pandas as pd
import pytest

from amber_nb import Amber
from amber_nb.map.run import MapRun

KEY = "ambrs-exampletoken"
PRICES = {"azure/gpt-5.4": (1.0, 2.0), "m": (1.0, 2.0)}


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """The user's cache folder; the ledger lies there."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def client():
    """Makes clients of a gateway, in mode live; they are closed at the end."""
    made = []

    def make(gateway, **options):
        made.append(Amber(base_url=gateway.base_url, api_key=KEY, **{"prices": PRICES, **options}))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def reviews():
    """A table with an index that is neither a range nor unique."""
    return pd.DataFrame({"text": [f"review {number}" for number in range(12)]}, index=[7, 7, *range(10)])


@pytest.fixture
def runs(monkeypatch):
    """The `MapRun` objects that come to be, in their order."""
    seen = []
    begin = MapRun.__init__

    def note(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        seen.append(self)

    monkeypatch.setattr(MapRun, "__init__", note)
    return seen
