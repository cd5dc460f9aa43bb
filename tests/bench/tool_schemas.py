"""The schemas that we, pydantic-ai and chatlas make of the same functions → tests/tools/tool_schemas.json.

    pip install pydantic-ai-slim chatlas griffelib jsonschema
    python tests/bench/tool_schemas.py

Wants an environment of its own: neither library is needed for anything else. The tests read the file, and explain every
difference.
"""

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tools")]

import chatlas  # noqa: E402
import pydantic_ai  # noqa: E402
from tool_signatures import SIGNATURES  # noqa: E402

from amber_nb.tools.tool import tools_from  # noqa: E402


def ours(function):
    (tool,) = tools_from(function).values()
    return {key: tool.spec["function"].get(key, "") for key in ("description", "parameters")}


def of_pydantic_ai(function):
    tool = pydantic_ai.Tool(function, takes_ctx=False)
    return {"description": tool.description or "", "parameters": tool.function_schema.json_schema}


def of_chatlas(function):
    spec = chatlas.Tool.from_func(function).schema["function"]
    return {key: spec.get(key, "") for key in ("description", "parameters")}


def made(make, function):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make(function)
        except Exception as error:
            return {"error": type(error).__name__}


def main():
    libraries = {"ours": ours, "pydantic-ai": of_pydantic_ai, "chatlas": of_chatlas}
    table = {
        "versions": {name: version(name) for name in ("pydantic-ai-slim", "chatlas", "pydantic")},
        "schemas": {
            name: {library: made(make, function) for library, make in libraries.items()}
            for name, function in SIGNATURES.items()
        },
    }
    path = ROOT / "tests" / "tools" / "tool_schemas.json"
    path.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    errors = {name: [lib for lib, one in row.items() if "error" in one] for name, row in table["schemas"].items()}
    print(f"{len(SIGNATURES)} signatures; no schema: { {name: libs for name, libs in errors.items() if libs} }")


if __name__ == "__main__":
    main()
