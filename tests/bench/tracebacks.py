"""How many lines an error takes in a notebook and in plain Python: a table of the errors that a reader meets.

    python tests/bench/tracebacks.py [--show]

Each error is raised in a kernel, from a cell of one line and from the middle of a cell of seven, and in a script, from
a function. Lines are counted as the notebook holds them, and as Python prints them. `--show` prints them, too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient

sys.path.insert(0, str(Path(__file__).parents[1]))

from gateway import DONE, Said, chunk, serve

# What the cells and scripts import: a team's own module, whose frames are the user's.
TEAM = """
import os
from pydantic import BaseModel, field_validator
from amber_nb import Amber, image_part, tool

def client(url=os.environ["TABLE_URL"], **options):
    return Amber(base_url=url, api_key="ambrs-exampletoken", max_retries=0, **options)

down, gateway, simulated = client("http://127.0.0.1:9/v1"), client(), Amber(mode="simulate")
replayed = Amber(mode="replay", cassette=os.environ["TABLE_CASSETTE"])
HELLO = [{"role": "user", "content": "hello"}]

class Review(BaseModel):
    stars: int

class Checked(BaseModel):
    stars: int

    @field_validator("stars")
    @classmethod
    def check_stars(cls, stars):
        return {}["no such stars"]

def weather(city: str) -> str:
    return "rain"

HANDLERLESS = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}

def policy(call):
    return {}["no such policy"]
"""
ERRORS = {
    "gateway down": "down.ask('hello')",
    "gateway down, streamed by .openai": "down.openai.chat.completions.create(model='m', messages=HELLO)",
    "gateway down, models()": "down.models()",
    "stall": "client(timeout_s=0.2).ask('stall')",
    "wrong key": "gateway.ask('401')",
    "quota used up": "gateway.ask('quota')",
    "server error": "gateway.ask('500')",
    "cut stream": "gateway.ask('cut')",
    "no chat completion": "gateway.ask('html')",
    "a misspelt parameter": "gateway.ask('hello', temprature=0)",
    "a misspelt keyword of Amber": "Amber(api_kee='x')",
    "a key without a domain": "Amber(api_key='ambrs-x', mode='live')",
    "a misspelt parameter, going on": "simulated.ask('hello', show=False).ask('more', temprature=0)",
    "nothing recorded": "replayed.ask('never recorded')",
    "nothing recorded, .openai": "replayed.openai.chat.completions.create(model='m', messages=HELLO)",
    "no image": "simulated.ask('look', images='missing.png')",
    "no image, image_part": "image_part('missing.png')",
    "schema not met": "gateway.ask('hello', schema=list[Review])",
    "refused": "gateway.ask('refuse', schema=Review)",
    "schema cut at its length": "gateway.ask('length', schema=Review)",
    "a tool that is none": "simulated.ask('hello', tools=3)",
    "a tool without hints": "simulated.ask('hello', tools=lambda x: x)",
    "an option of tool() that is none": "tool(weather, nme='x')",
    "approval that nobody can give": "gateway.ask('call', tools=weather, require_approval=True)",
    "a typed answer that is not whole": "gateway.ask('call', tools=HANDLERLESS, schema=Review).parsed",
    "the user's policy": "gateway.ask('call', tools=weather, require_approval=policy)",
    "the user's validator": "gateway.ask('stars', schema=Checked)",
}
SCRIPT = """
import json, sys, traceback
from team import *

{functions}
def run(main):
    try:
        main()
    except Exception:
        return traceback.format_exc()  # as Python prints it at the end of a script
    return ""

print(json.dumps([run(globals()[f"main{{number}}"]) for number in range({count})]))
"""
# What must be in sight of the user's own code.
OWN_LINES = {"the user's policy": 'return {}["no such policy"]', "the user's validator": 'return {}["no such stars"]'}


def reply(text: str, ended: threading.Event) -> Said:
    """Return what the gateway of this table says to a prompt."""
    if text == "401":
        return Said([b'{"error": {"message": "Incorrect API key provided"}}'], 401, "application/json")
    if text == "500":
        return Said([b'{"error": {"message": "upstream failed"}}'], 500, "application/json")
    if text == "quota":
        body = b'{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'
        return Said([body], 429, "application/json")
    if text == "html":
        return Said([b"<html><title>Sign in</title></html>"], 200, "text/html")
    if text == "stall":
        return Said(_stall(ended))
    if text == "cut":
        return Said([chunk({"content": "half of"})])
    if text == "refuse":
        return Said([chunk({"refusal": "No."}), chunk(finish="stop"), DONE])
    if text == "length":
        return Said([chunk({"content": "half of"}), chunk(finish="length"), DONE])
    if text == "call":
        call = {"name": "weather", "arguments": '{"city": "Aachen"}'}
        calls = [{"index": 0, "id": "1", "type": "function", "function": call}]
        return Said([chunk({"tool_calls": calls}), chunk(finish="tool_calls"), DONE])
    return Said([chunk({"content": '{"stars": 3}'}), chunk(finish="stop"), DONE])


def _stall(ended: threading.Event) -> Iterator[bytes]:
    yield chunk({"content": "half"})
    ended.wait(60)


def in_notebook(cells: list[str], folder: Path, environment: dict[str, str]) -> list[str]:
    """Run cells in one kernel, the first of which must not fail; return the other cells' tracebacks, "" for none."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    client = NotebookClient(book, timeout=120, allow_errors=True, resources={"metadata": {"path": str(folder)}})
    client.execute(env=os.environ | environment)
    errors = [[each for each in cell.outputs if each.output_type == "error"] for cell in book.cells]
    texts = ["\n".join(found[0].traceback) if found else "" for found in errors]
    assert not texts[0], texts[0]
    return [re.sub(r"\x1b\[[0-9;]*m", "", text) for text in texts[1:]]


def in_python(lines: list[str], folder: Path, environment: dict[str, str]) -> list[str]:
    """Run each line within a function of a script; return what Python prints of its error, "" for none."""
    functions = "".join(f"def main{number}():\n    {line}\n\n" for number, line in enumerate(lines))
    script = folder / "script.py"
    script.write_text(SCRIPT.format(functions=functions, count=len(lines)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script], cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert not done.returncode, done.stderr
    texts: list[str] = json.loads(done.stdout)
    return texts


def table(errors: dict[str, str] = ERRORS) -> dict[str, tuple[str, str, str]]:
    """Raise each of the errors; return its traceback in a short cell, in a longer cell and in a script."""
    ended = threading.Event()
    with tempfile.TemporaryDirectory() as name, serve(lambda text: reply(text, ended)) as url:
        folder = Path(name)
        (folder / "team.py").write_text(TEAM, encoding="utf-8")
        (folder / "empty.jsonl").write_text("", encoding="utf-8")
        environment = {"TABLE_URL": url, "TABLE_CASSETTE": str(folder / "empty.jsonl")}
        long = [f"x = 1\ny = 2\nz = 3\n{source}\na = 1\nb = 2\nc = 3" for source in errors.values()]
        texts = in_notebook(["from team import *", *errors.values(), *long], folder, environment)
        scripts = in_python([*errors.values()], folder, environment)
        ended.set()
    count = len(errors)
    return dict(zip(errors, zip(texts[:count], texts[count:], scripts, strict=True), strict=True))


def main() -> None:
    """Print the table."""
    print(f"{'lines of traceback in':34} {'a cell':>8} {'7 lines':>8} {'Python':>8}")
    for name, texts in table().items():
        print(f"{name:34} " + " ".join(f"{len(text.strip().splitlines()):8}" for text in texts))
        if "--show" in sys.argv:
            print(*texts, sep="\n" + "-" * 20 + "\n")


if __name__ == "__main__":
    main()
