"""What a type checker infers for the public face; checked by `mypy`, never run.

A wrong call carries the code of the error that it must give: `mypy` reports an exception that is not needed.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any, assert_type

import pandas as pd
from pydantic import BaseModel

from amber_nb import Allow, Amber, Answer, Deny, McpServer, ToolCall, ToolRun, image_part, mcp, tool
from amber_nb.mcp_servers import McpServers, PromptMessages, ServerResult


class Review(BaseModel):
    stars: int


@tool
def look_up(city: str) -> str:
    return city


@tool(require_approval=True)
def remove(path: str) -> None: ...


def policy(call: ToolCall) -> Allow | Deny | None:
    return Deny("no") if call.name == "remove" else None


def priced() -> None:
    Amber(prices={"azure/gpt-5.4": (2.5, 15.0, 0.25), "currency": "EUR"})
    Amber(prices="prices.toml")
    Amber(prices=[("m", 1)])  # type: ignore[arg-type]


def plain(amber: Amber) -> None:
    answer = amber.ask("Hello!")
    assert_type(answer, Answer[Any])
    assert_type(answer.text, str)
    assert_type(answer.complete, bool)
    if answer.cost is not None:
        assert_type(answer.cost.amount, Decimal)
        assert_type(answer.cost.list_price, bool)
    assert_type(answer.tool_runs, list[ToolRun])
    assert_type(answer.ask("And then?", temperature=0), Answer[Any])
    amber.ask([{"role": "user", "content": "Hello!"}], system="Be brief.", max_tokens=5, footer=False)
    amber.ask("Hello!", tools=[look_up, remove], require_approval=policy, approval_timeout_s=5, max_rounds=2)
    amber.ask("Hello!", images=image_part("a.png"), thumbnails=False, timeout_s=3.5, max_wait_s=0)


def with_servers(amber: Amber) -> None:
    assert_type(amber.mcp, McpServer)
    files = mcp("npx", "-y", "server", env={"A": "b"}, only="read_*", require_approval=False, timeout_s=5)
    web = mcp("https://mcp.example.com/mcp", headers={"Authorization": "Bearer …"}, exclude=["a"], prefix="web_")
    assert_type(files, McpServer)
    assert_type(web, McpServer)
    assert_type(mcp({"mcpServers": {}}, "files"), McpServer)
    all_of_file = mcp(Path("mcp.json"))
    assert_type(all_of_file, McpServer | McpServers)
    amber.ask("Hello!", tools=all_of_file)
    answer = amber.ask("Hello!", tools=[amber.mcp, files, web, look_up], require_approval=policy)
    assert_type(answer.tool_runs[0].server, str | None)
    assert_type(amber.mcp.call("search", query="ACME"), ServerResult)
    assert_type(amber.mcp.call("search", {"query": "ACME"}).frame(), pd.DataFrame)
    assert_type(amber.mcp.tools(), pd.DataFrame)
    assert_type(amber.mcp.select(only="search"), McpServer)
    amber.mcp.select(require_approval=None)
    assert_type(amber.mcp.prompt("brief", topic="ACME"), PromptMessages)
    amber.ask(amber.mcp.prompt("brief", topic="ACME"))
    amber.mcp.search("ACME")  # type: ignore[attr-defined]
    amber.mcp(only="search")  # type: ignore[operator]
    amber.mcp.select(olny="search")  # type: ignore[call-arg]
    mcp("npx", "-y", 5)  # type: ignore[call-overload]
    mcp("npx", header={})  # type: ignore[call-overload]


def typed(amber: Amber) -> None:
    assert_type(amber.ask("Rate it.", schema=Review), Answer[Review])
    assert_type(amber.ask("Rate it.", schema=Review).parsed, Review)
    assert_type(amber.ask("Rate it.", schema=list[Review]).parsed, list[Review])
    assert_type(amber.ask("Hello!").ask("Rate it.", schema=Review).parsed.stars, int)
    assert_type(amber.ask("Rate it.", schema={"type": "object"}).parsed, Any)


async def awaited(amber: Amber) -> None:
    assert_type(await amber.ask_async("Hello!"), Answer[Any])
    assert_type(await amber.mcp.call_async("search", {"query": "ACME"}), ServerResult)
    assert_type(await amber.mcp.tools_async(), pd.DataFrame)
    assert_type(await amber.mcp.prompt_async("brief", topic="ACME"), PromptMessages)
    assert_type((await amber.ask_async("Rate it.", schema=Review)).parsed, Review)
    assert_type(await (await amber.ask_async("Hello!")).ask_async("Rate it.", schema=Review), Answer[Review])


def decorated() -> None:
    assert_type(look_up("Aachen"), str)


def wrong(amber: Amber, answer: Answer[Review]) -> None:
    amber.ask("Hello!", imagse="a.png")  # type: ignore[call-overload]
    amber.ask("Hello!", max_rounds="two")  # type: ignore[call-overload]
    amber.ask("Hello!", temperature="hot")  # type: ignore[call-overload]
    answer.ask("Hello!", shema=Review)  # type: ignore[call-overload]
    answer.text = "no"  # type: ignore[misc]
