"""`frame.amber.map(…)`: with any order of imports, with the newest client, and without loading pandas."""

import asyncio
import gc
import subprocess
import sys

import pandas as pd
import pytest
from completions import serve_completions

from amber_nb import ConfigError
from amber_nb.map import accessor

FRAME = pd.DataFrame({"text": ["a", "b"]})


def test_a_frame_asks_by_itself(client):
    with serve_completions() as gateway, serve_completions(lambda *_: "newest") as other:
        first, _ = client(gateway), client(other)
        assert FRAME.amber.map("{text}")["answer"].tolist() == ["newest", "newest"]
        assert FRAME.amber.map("{text}", amber=first)["answer"].tolist() == ["echo a", "echo b"]
        assert FRAME["text"].amber.map("Say {}", amber=first)["answer"].tolist() == ["echo Say a", "echo Say b"]
        awaited = asyncio.run(FRAME.amber.map_async("{text}", ledger=None))
        assert awaited["answer"].tolist() == ["newest", "newest"]


def test_without_a_client_it_says_so(client, monkeypatch):
    with serve_completions() as gateway:
        client(gateway)
    monkeypatch.setattr(accessor, "_newest", None)
    gc.collect()
    with pytest.raises(ConfigError, match="make one first"):
        FRAME.amber.map("{text}")


@pytest.mark.parametrize(
    "code",
    [
        "import pandas\nfrom amber_nb import Amber\namber = Amber(mode='simulate')",
        "from amber_nb import Amber\namber = Amber(mode='simulate')\nimport pandas",
        "from amber_nb import Amber\namber = Amber(mode='simulate')\nassert 'pandas' not in sys.modules\nimport pandas",
        "from amber_nb import Amber\nAmber(mode='simulate')\namber = Amber(mode='simulate')\nimport pandas",
    ],
)
def test_the_order_of_imports_does_not_matter(code):
    program = f"import sys\n{code}\nprint(pandas.DataFrame({{'t': ['a']}}).amber.map('Say {{t}}').status.tolist())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "['ok']\n", done.stderr
    assert done.stderr == ""
