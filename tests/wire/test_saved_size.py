"""What a notebook keeps of an answer: HTML and text together, not many times the text."""

import json
import pathlib

import pytest
from gateway import Said, serve, spoken

from amber_nb import Amber

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def amber():
    """Whoever is asked says what it was asked."""
    with serve(lambda text: Said(spoken(text, 1_000))) as url:
        client = Amber(base_url=url, api_key="ambrs-exampletoken", max_retries=0)
        yield client
        client.close()


def tree(*patterns):
    files = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    return [path for path in files if 1_000 <= path.stat().st_size <= 60_000]


SQL = (
    "SELECT c.region, date_trunc('month', o.paid_at) AS month, count(*) AS orders,\n  sum(o.total) / 100.0 AS eur\n"
    "FROM orders AS o\nJOIN customers AS c ON c.id = o.customer_id  -- inner: no guests\n"
    "WHERE o.status IN ('paid', 'sent') AND o.paid_at >= now() - interval '1 year'\nGROUP BY 1, 2\n"
    "HAVING count(*) > 10\nORDER BY month DESC, eur DESC NULLS LAST;\n\n"
)
SHELL = "set -eu\nfor name in $(ls *.csv); do\n  wc -l \"$name\" | awk '{ print $1 }'  # lines\ndone\n"
ROWS = [{"id": n, "name": f"Müller {n}", "ok": n % 2 == 0, "tags": ["a", "b"], "size": n / 7} for n in range(60)]
CODE = {
    **{str(path.relative_to(ROOT)): ("python", path.read_text()) for path in tree("amber_nb/*.py", "amber_nb/*/*.py")},
    **{
        str(path.relative_to(ROOT)): ("javascript", path.read_text())
        for path in tree("amber_nb/display/frontend/src/*.js", "amber_nb/display/frontend/src/*/*.js")
    },
    "pyproject.toml": ("toml", (ROOT / "pyproject.toml").read_text()),
    "SQL": ("sql", SQL * 6),
    "shell": ("bash", SHELL * 20),
    "JSON": ("json", json.dumps(ROWS, indent=2, ensure_ascii=False)),
    "JSON in one line": ("json", json.dumps(ROWS)),
}
TABLE = (
    "| City | People | Area |\n| :-- | --: | --: |\n"
    + "| Köln | 1,084,831 | 405 km² |\n| **Ulm** | 128,928 | 118 km² |\n" * 9
)
LIST = "".join(
    f"{n}. **Step {n}:** see [the guide](https://docs.example.org/guide/{n}), then run `make step{n}`.\n   - or not\n"
    for n in range(20)
)


def ours(name):
    return (ROOT / name).read_text(encoding="utf-8")


TEXTS = {
    "answer.md": ours("tests/browser/answer.md"),
    "README": ours("README.md"),
    "CHANGELOG": ours("CHANGELOG.md"),
    "a table": TABLE,
    "a list of links": LIST,
    **{f"{n} words": None for n in (20, 200, 2_000)},
}


def saved_size(bundle):
    """As the file has it, in UTF-8."""
    return len(json.dumps(bundle, ensure_ascii=False).encode())


def sizes(amber, text):
    bundle = amber.ask(text, show=False)._repr_mimebundle_()
    assert bundle["text/plain"] == text
    return saved_size(bundle), len(text.encode())


@pytest.mark.parametrize("name", TEXTS)
def test_saved_prose_stays_small(amber, simulated, name):
    text = TEXTS[name]
    if text is None:
        text = simulated.ask(f"Write {name} about rivers.", show=False).text
    saved, size = sizes(amber, text)
    print(f"prose {name}: {saved / size:.2f} x, {size} bytes")
    assert saved <= 3 * size + 2_000


@pytest.mark.parametrize("name", CODE)
def test_saved_code_stays_small(amber, name):
    language, code = CODE[name]
    text = f"```{language}\n{code}```\n"
    saved, size = sizes(amber, text)
    print(f"code {name}: {saved / size:.2f} x, {size} bytes")
    assert saved <= 8 * size
