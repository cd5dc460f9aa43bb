"""What a reply costs: the customer's prices, the makers' list prices, and when neither is known."""

import pickle
import subprocess
import sys
from decimal import Decimal

import openai
import pytest
from gateway import DONE, Said, chunk, serve, spoken
from scripted import calling

from amber_nb import Amber, ConfigError, prices
from amber_nb.prices import Cost, PriceTable, cost_of, read_prices
from amber_nb.types import Charge

PRICES = {"azure/gpt-5.4": (2, 10, 0.5), "currency": "EUR"}


def usage(prompt=1_000, completion=100, **more):
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


def cached(tokens):
    return {"prompt_tokens_details": {"cached_tokens": tokens}}


def charge(*models, **usage_and_tier):
    tier = usage_and_tier.pop("service_tier", None)
    return Charge(models=models or ("azure/gpt-5.4",), usage=usage(**usage_and_tier), service_tier=tier)


def own(*charges):
    return cost_of(charges, read_prices(PRICES))


def listed(*charges):
    return cost_of(charges, None)


# The table of prices


@pytest.mark.parametrize(
    ("row", "read"),
    [
        ((2, 10), (2, 10, 2)),
        ([2.5, 10.0, 0.1], ("2.5", 10, "0.1")),
        ((Decimal("0.123456789"), 0), ("0.123456789", 0, "0.123456789")),
        ({"input": 2, "output": 10}, (2, 10, 2)),
        ({"input": 2, "output": 10, "cached": 0}, (2, 10, 0)),
    ],
)
def test_prices_that_are_read(row, read):
    assert read_prices({"m": row}) == PriceTable({"m": tuple(map(Decimal, read))}, "USD")


@pytest.mark.parametrize(
    "row",
    [
        None, "2, 10", 2, (2,), (2, 10, 1, 1), (-1, 10), (2, "10"), (2, None), (True, 10), (2, float("nan")),
        (2, float("inf")), {"input": 2}, {"input": 2, "output": 3, "cache": 1}, {"in": 2, "out": 10},
    ],
)  # fmt: skip
def test_prices_that_are_none_are_refused_when_the_client_is_made(row):
    with pytest.raises(ConfigError, match=r"prices=.*'m'.*a million tokens"):
        Amber(mode="simulate", prices={"m": row})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({1: (2, 10)}, "a model's name must be a text, not int"),
        ({"": (2, 10)}, "a model's name"),
        ({"currency": ""}, "currency must be a text"),
        ({"currency": (2, 10)}, "currency must be a text"),
        (2, "a dict or the path of a .toml file, not int"),
        ([("m", (2, 10))], "a dict or the path of a .toml file, not list"),
    ],
)
def test_what_is_no_table_is_refused(given, says):
    with pytest.raises(ConfigError, match=says):
        Amber(mode="simulate", prices=given)


def test_a_file_says_the_same_as_a_table(tmp_path):
    file = tmp_path / "prices.toml"
    file.write_text(
        'currency = "EUR"\n"azure/gpt-5.4" = [2, 10, 0.1]\n"acme/law-1" = { input = 0.3, output = 1 }\n',
        encoding="utf-8",
    )
    table = read_prices({"currency": "EUR", "azure/gpt-5.4": (2, 10, 0.1), "acme/law-1": (0.3, 1)})
    assert read_prices(file) == read_prices(str(file)) == table


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "is no TOML"),
        (b"azure/gpt-5.4 = [2, 10]", "is no TOML"),
        (b"m = 2", "no prices that can be read"),
        (b"m = [2, -1]", "a price that is no number"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_without_its_folders(tmp_path, text, says):
    file = tmp_path / "prices.toml"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(ConfigError, match=says) as caught:
        Amber(mode="simulate", prices=file)
    assert "prices.toml" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


# What tokens cost


@pytest.mark.parametrize(
    ("used", "euro"),
    [
        (usage(1_000_000, 0), 2),
        (usage(0, 1_000_000), 10),
        (usage(1_000_000, 0, **cached(400_000)), "1.4"),
        (usage(1_000_000, 0, cache_read_input_tokens=400_000), "1.4"),
        (usage(1_000_000, 0, prompt_cache_hit_tokens=400_000), "1.4"),
        (usage(1_000_000, 0, **cached(None)), 2),
        (usage("1000000", 0.0), 2),
        (usage(0, 100_000, total_tokens=100_000, completion_tokens_details={"reasoning_tokens": 90_000}), 1),
        # The reasoning beside the completion, as xAI counts.
        (usage(0, 100_000, total_tokens=300_000, completion_tokens_details={"reasoning_tokens": 200_000}), 3),
        (usage(0, 0), 0),
    ],
)
def test_tokens_by_the_customers_prices(used, euro):
    assert own(Charge(models=("azure/gpt-5.4",), usage=used)) == Cost(Decimal(euro), "EUR")


HOLES = [
    usage(prompt=None), usage(completion=None), usage(prompt="many"), usage(prompt=-1), {}, {"total_tokens": 5},
    usage(total_tokens=5_000), usage(**cached("many")), usage(**cached(5_000)),
    usage(completion_tokens_details={"audio_tokens": 5}),
]  # fmt: skip


@pytest.mark.parametrize("used", HOLES)
@pytest.mark.parametrize("cost", [own, listed])
def test_a_usage_with_holes_has_no_cost(cost, used):
    assert cost(charge()) is not None
    assert cost(Charge(models=("azure/gpt-5.4",), usage=used)) is None
    assert cost(charge(), Charge(models=("azure/gpt-5.4",), usage=used)) is None  # nor is a part of it told


def test_a_model_is_found_by_the_name_that_was_asked_for_then_by_that_of_the_reply():
    table = read_prices({"alias": (1, 1), "gpt-5.4-2026-03-05": (2, 2)})
    asked, replied = (cost_of([charge(*names)], table) for names in [("alias", "gpt-5.4-2026-03-05"), ("x", "alias")])
    assert asked == replied == Cost(Decimal("0.0011"), "USD")
    assert cost_of([charge("other")], table) is None  # with prices of one's own, no list price stands in
    assert cost_of([charge("azure/gpt-5.4")], table) is None


def test_no_reply_has_no_cost():
    assert own() is None
    assert own(None) is None
    assert own(charge(), None) is None


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (Cost(Decimal(0), "EUR"), "0.00 EUR"),
        (Cost(Decimal("0.0000123"), "EUR"), "0.000012 EUR"),
        (Cost(Decimal("0.0451"), "USD", list_price=True), "0.045 USD (list price)"),
        (Cost(Decimal("1234.5678"), "EUR"), "1,234.57 EUR"),
    ],
)
def test_a_cost_as_text(cost, text):
    assert str(cost) == text


# List prices


@pytest.mark.parametrize(
    "models",
    [
        ("gpt-5.4",), ("azure/gpt-5.4",), ("openai/gpt-5.4",), ("azure/gpt-5.4", "gpt-5.4-2026-03-05"),
        ("our-default", "gpt-5.4-2026-03-05"), ("acme/gpt-5.4", "gpt-5.4-2026-03-05"),
    ],
)  # fmt: skip
def test_a_makers_model_behind_a_gateway_has_a_list_price(models):
    cost = listed(charge(*models, **cached(500)))
    assert (cost.currency, cost.list_price) == ("USD", True)
    assert 0 < cost.amount == listed(charge("gpt-5.4", **cached(500))).amount < listed(charge("gpt-5.4")).amount


@pytest.mark.parametrize(
    "models",
    [
        ("acme/gpt-5.4",), ("our-default",), ("azure/our-deployment",), ("azure/eu/gpt-5.4",), ("",), ("/",),
        ("azure/",), ("gpt-5.4", "gpt-5.4-mini"),
    ],
)  # fmt: skip
def test_a_name_that_may_mean_several_things_has_none(models):
    assert listed(charge(*models)) is None


@pytest.mark.parametrize(("tier", "known"), [(None, True), ("default", True), ("flex", False), ("priority", False)])
def test_a_tier_with_prices_of_its_own_has_no_list_price(tier, known):
    assert (listed(charge(service_tier=tier)) is not None) == known
    assert own(charge(service_tier=tier)) is not None


def test_a_price_that_is_missing_is_not_0(monkeypatch):
    class Calculated:
        model = type("Model", (), {"id": "m"})
        input_price, output_price, total_price = Decimal(1), Decimal(0), Decimal(1)

    module = type("Module", (), {"Usage": dict, "calc_price": staticmethod(lambda *_, **__: Calculated)})
    monkeypatch.setattr(prices, "_list_prices", lambda: module)
    assert listed(charge("m", completion=1)) is None
    assert listed(charge("m", completion=0)) == Cost(Decimal(1), "USD", list_price=True)


def test_without_the_extra_there_is_no_list_price(monkeypatch):
    monkeypatch.setattr(prices, "_list_prices", lambda: None)
    assert listed(charge()) is None


# In an answer, and in the log


def test_an_answer_tells_its_cost(monkeypatch):
    monkeypatch.setenv("AMBER_SIM_CHUNKS_PER_S", "0")
    amber = Amber(mode="simulate", prices=PRICES)
    answer = amber.ask("Hello!")
    tokens = answer.usage
    amount = (2 * Decimal(tokens.prompt_tokens) + 10 * Decimal(tokens.completion_tokens)) / 1_000_000
    assert answer.cost == pickle.loads(pickle.dumps(answer)).cost == Cost(amount, "EUR")
    assert list(amber.usage_log["cost"]) == [float(amount)]


def here() -> str:
    """Tell where this is."""
    return "Aachen"


def with_usage(pieces, **fields):
    pieces = [piece for piece in pieces if piece != DONE]
    return [*pieces, b'data: {"choices": [], "usage": ' + str(fields).replace("'", '"').encode() + b"}\n\n", DONE]


ONE = {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}


def test_all_rounds_count_and_all_corrections(script):
    amber = script(
        with_usage(calling(("here", {})), **ONE), with_usage(spoken("no", 5), **ONE), with_usage(spoken("5", 5), **ONE),
        prices={"m": (2, 10)}, model="m",
    )  # fmt: skip
    answer = amber.ask("?", tools=here, schema=int)
    assert answer.parsed == 5
    assert answer.cost == Cost(Decimal(6), "USD")
    assert amber.usage_log["cost"].sum() == amber.usage_log.attrs["cost"] == 6


def test_one_round_that_does_not_tell_its_usage_leaves_the_cost_unknown(script):
    amber = script(with_usage(calling(("here", {})), **ONE), "Aachen", prices={"m": (2, 10)}, model="m")
    answer = amber.ask("?", tools=here)
    assert answer.cost is None
    assert list(amber.usage_log["cost"].fillna(-1)) == [2, -1]
    assert amber.usage_log.attrs == {"cost": 2.0, "currency": "USD", "list_price": False, "without_cost": 1}


def test_an_answer_that_breaks_off_has_no_cost(script):
    amber = script([chunk({"content": "Hel"})], prices={"m": (2, 10)}, model="m")
    with pytest.raises(Exception, match="ended early"):
        amber.ask("?")
    assert amber.last.text == "Hel"
    assert amber.last.cost is None


@pytest.mark.parametrize("given", [{"m": (2, 10)}, None])
def test_the_footer_has_the_customers_prices_alone(script, given):
    told = with_usage(spoken("Hi", 5, model="gpt-5.4"), **ONE)
    answer = script(told, prices=given, model="m").ask("?")
    assert answer.cost is not None
    assert ("2.00 USD" in answer._repr_mimebundle_()["text/html"]) == (given is not None)
    assert "list price" not in answer._repr_mimebundle_()["text/html"]


def test_the_log_says_whose_prices_they_are(script):
    amber = script(with_usage(spoken("Hi", 5, model="gpt-5.4"), **ONE), model="m")
    amber.ask("?")
    row = amber.usage_log.iloc[0]
    assert (row["currency"], bool(row["list_price"])) == ("USD", True)
    assert amber.usage_log.attrs == {
        "cost": row["cost"], "currency": "USD", "list_price": True, "without_cost": 0
    }  # fmt: skip


def test_an_empty_log_has_the_columns(simulated):
    log = simulated.usage_log
    assert {name: str(log[name].dtype) for name in ("cost", "list_price")} == {
        "cost": "Float64",
        "list_price": "boolean",
    }
    assert log.attrs == {"cost": None, "currency": None, "list_price": None, "without_cost": 0}


def test_a_refused_request_costs_nothing_and_counts_nowhere(gateway):
    amber = Amber(base_url=gateway.base_url, api_key="ambrs-exampletoken", max_retries=0, prices=PRICES)
    with pytest.raises(openai.NotFoundError):
        amber.ask("Hello!", model="nothing-of-that-name")
    amber.ask("Hello!")
    log = amber.usage_log
    assert (len(log), log["cost"].notna().sum(), log.attrs["without_cost"]) == (2, 1, 0)
    amber.close()


def test_a_round_that_is_refused_costs_nothing():
    said = iter(
        [
            Said(with_usage(calling(("here", {})), **ONE)),
            Said([b'{"error": {"message": "no"}}'], 400, "application/json"),
        ]
    )
    with serve(lambda _: next(said)) as url:
        amber = Amber(base_url=url, api_key="ambrs-exampletoken", max_retries=0, prices={"m": (2, 10)}, model="m")
        with pytest.raises(openai.BadRequestError):
            amber.ask("?", tools=here)
        amber.close()
    assert amber.last.cost == Cost(Decimal(2), "USD")
    assert amber.usage_log.attrs["without_cost"] == 0


def test_the_last_usage_of_a_stream_counts_and_the_models_name_from_before_it(script):
    """As vLLM tells both: the usage so far in each event, and in the last one nothing else."""
    so_far = {"usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}}
    amber = script(
        with_usage(
            spoken("Hi", 1, model="n", **so_far), **ONE | {"completion_tokens": 500_000, "total_tokens": 1_500_000}
        ),
        prices={"n": (2, 10)},
        model="m",
    )
    assert amber.ask("?").cost == Cost(Decimal(7), "USD")
    assert list(amber.usage_log["cost"]) == [7]


def test_prices_are_looked_up_only_where_a_cost_is_asked_for(elsewhere):
    code = (
        "import os, sys; os.environ.update(AMBER_MODE='simulate', AMBER_SIM_CHUNKS_PER_S='0')\n"
        "from amber_nb import Amber; answer = Amber().ask('Hello!'); repr(answer); answer._repr_mimebundle_()\n"
        "assert 'genai_prices' not in sys.modules\n"
        "assert answer.cost is not None and 'genai_prices' in sys.modules\n"
        "import threading; assert not [one for one in threading.enumerate() if 'price' in one.name.lower()]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
