"""What users of other tools complain about, each as a test.

One failure loses finished rows; no resume; paying twice; no cost in sight; a resume that silently changes the model;
fails in a fresh kernel; refuses to run inside Jupyter; loses the index; sends duplicates twice; $0 for unknown prices;
loses the column on one error.
"""

import asyncio

import pandas as pd
import pytest
from completions import Refusal, completion, serve_completions
from kernels import execute, kernel_with

FRAME = pd.DataFrame({"text": ["good", "bad", "good", "fine"]}, index=["r1", "r1", "r2", "r3"])


def reply(prompt, _):
    return Refusal(400, {"error": {"message": "refused"}}) if "bad" in prompt else f"echo {prompt}"


def test_one_failure_loses_neither_rows_nor_the_column_nor_the_index(client):
    with serve_completions(reply) as gateway:
        result = client(gateway).map(FRAME, "{text}")
    assert result["answer"].isna().tolist() == [False, True, False, False]
    assert result.index.tolist() == ["r1", "r1", "r2", "r3"]
    assert FRAME.assign(answer=result["answer"].array)["answer"].tolist()[0] == "echo good"


def test_a_resume_never_changes_the_model_silently(client):
    with serve_completions() as gateway:
        amber = client(gateway)
        amber.map(FRAME, "{text}", model="m")
        result = amber.map(FRAME, "{text}", model="other")
        assert result.attrs["changes"] == ["model"]
        assert [body["model"] for body in gateway.bodies] == ["m"] * 3 + ["other"] * 3


def test_an_unknown_price_is_unknown_and_not_nothing(client):
    with serve_completions(lambda *_: completion("yes", model="nobody/knows")) as gateway:
        result = client(gateway).map(FRAME, "{text}", model="nobody/knows")
    assert result["cost"].iloc[[0, 1, 3]].isna().all()
    assert result.attrs["totals"]["cost"] is None


def test_the_cost_is_told_for_each_row_and_in_all(client):
    with serve_completions() as gateway:
        result = client(gateway).map(FRAME, "{text}")
    assert result["cost"].sum() == pytest.approx(result.attrs["totals"]["cost"])
    assert result.attrs["currency"] == "USD"


def test_a_duplicate_is_sent_once_also_where_it_fails(client):
    frame = pd.DataFrame({"text": ["bad", "bad", "bad"]})
    with serve_completions(reply) as gateway:
        result = client(gateway).map(frame, "{text}")
        assert len(gateway.bodies) == 1
    assert result["status"].tolist() == ["error"] * 3
    assert result["error"].nunique() == 1


def test_it_runs_in_a_fresh_kernel_and_under_its_loop():
    with serve_completions() as gateway, kernel_with(gateway.base_url) as kernel:
        execute(kernel, "import pandas as pd\nframe = pd.DataFrame({'text': ['a', 'b']})")
        _, said = execute(kernel, "print(amber.map(frame, 'Say {text}', ledger=None)['answer'].tolist())")
        assert said == "['echo Say a', 'echo Say b']\n"
        _, said = execute(
            kernel, "print((await amber.map_async(frame, 'Tell {text}', ledger=None))['answer'].tolist())"
        )
        assert said == "['echo Tell a', 'echo Tell b']\n"


def test_two_maps_and_an_ask_run_at_once(client):
    with serve_completions() as gateway:
        amber = client(gateway)

        async def all_at_once():
            return await asyncio.gather(
                amber.map_async(FRAME, "Say {text}", ledger=None),
                amber.map_async(FRAME, "Tell {text}", ledger=None),
            )

        one, other = asyncio.run(all_at_once())
    assert set(one["status"]) == set(other["status"]) == {"ok"}
