"""The methods of a server by hand: what they say where they are used otherwise, and their twins to await."""

import asyncio
import subprocess
import sys
import warnings

import pandas as pd
import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError as FailedTool
from scripted import calling
from small_tools import change, look, send

from amber_nb import Amber, ConfigError, McpServer, ToolError, mcp
from amber_nb.mcp_servers import McpServers, PromptMessages, hints
from amber_nb.mcp_servers.hints import describe_prompts, describe_resources
from amber_nb.mcp_servers.options import refuse_unknown


@pytest.fixture
def library():
    """A server with resources and prompts."""
    inner = MCPServer("library")

    @inner.resource("notes://today")
    def today() -> str:
        """The notes of today."""
        return "Buy amber."

    @inner.resource("notes://{day}")
    def other(day: str) -> str:
        """The notes of a day."""
        raise FailedTool("no such day")

    @inner.prompt()
    def plan(day: str, goal: str, tone: str = "calm") -> str:
        """Plan a day."""
        return f"Plan {day} for {goal}, {tone}."

    @inner.prompt()
    def hello() -> str:
        """Greet."""
        return "Hello!"

    server = mcp(inner)
    yield server
    server.close()


class TestAttributes:
    def test_a_tool_is_no_attribute(self):
        with pytest.raises(AttributeError) as error:
            Amber(mode="simulate").mcp.search  # noqa: B018
        assert str(error.value) == (
            "An McpServer has no attribute 'search': a tool is called as amber.mcp.call('search', …); for ask it is "
            "chosen as amber.mcp.select(only='search')."
        )
        assert error.value.name is None  # or Python would add a guess of its own

    def test_any_other_server_is_named_by_its_type(self, serve_here):
        with pytest.raises(AttributeError, match=r"as server\.call\('look', …\)"):
            serve_here(look).look  # noqa: B018

    @pytest.mark.parametrize(("slip", "meant"), [("tool", "tools"), ("resource", "resources"), ("selct", "select")])
    def test_a_slip_in_a_method(self, serve_here, slip, meant):
        with pytest.raises(AttributeError, match=f"no attribute '{slip}'. Did you mean '{meant}'"):
            getattr(serve_here(look), slip)

    def test_a_tool_that_is_called_like_a_method(self, serve_here):
        def tool() -> str:
            return ""

        server = serve_here(tool)
        server.tools()
        with pytest.raises(AttributeError, match=r"\.call\('tool', …\)"):
            server.tool  # noqa: B018

    @pytest.mark.parametrize("name", ["_repr_html_", "_ipython_display_", "__array__", "_nothing"])
    def test_what_is_private_is_pythons_own_error(self, serve_here, name):
        server = serve_here(look)
        with pytest.raises(AttributeError, match=f"^'McpServer' object has no attribute '{name}'$"):
            getattr(server, name)
        assert server._requests.opened == []

    def test_an_error_within_a_property_stays(self, monkeypatch, serve_here):
        def fail(self):
            raise AttributeError("of its own")

        monkeypatch.setattr(McpServer, "stderr", property(fail))
        with pytest.raises(AttributeError, match="of its own"):
            serve_here(look).stderr  # noqa: B018

    def test_a_server_is_not_called(self):
        with pytest.raises(TypeError, match=r"amber\.mcp\.select\(only=…\) chooses its tools, and amber\.mcp\.call"):
            Amber(mode="simulate").mcp(only="search")

    def test_of_several_one_is_taken(self):
        servers = mcp({"mcpServers": {"files": {"command": "a"}, "github": {"command": "b"}}})
        with pytest.raises(AttributeError, match=r"2 MCP servers: take one of them, as in servers\['files'\]\.tools\."):
            servers.tools()
        with pytest.raises(AttributeError, match=r"as in servers\['github'\]\."):
            servers.github  # noqa: B018
        with pytest.raises(AttributeError, match="object has no attribute '_repr_html_'"):
            servers._repr_html_  # noqa: B018

    def test_help_begins_with_what_is_the_readers(self):
        verbs, _, rest = McpServer.__doc__.partition("All other names")
        assert rest
        assert all(
            f"{name}(" in verbs for name in ("tools", "call", "select", "resources", "read", "prompts", "prompt")
        )

    def test_the_type_is_at_the_door_and_loads_no_sdk(self):
        code = "import sys, amber_nb; amber_nb.McpServer; print('mcp' in sys.modules, 'pandas' in sys.modules)"
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert loaded.split() == ["False", "False"]


class TestNames:
    @pytest.mark.parametrize(
        ("use", "place"),
        [
            (lambda server, name: server.read(name), "URI of a resource, not list: give its uri, as in resources"),
            (lambda server, name: server.prompt(name), "name of a prompt, not list: give its name, as in prompts"),
            (lambda server, name: server.call(name), "name of a tool, not list: give its name, as in tools"),
            (lambda server, name: asyncio.run(server.read_async(name)), "URI of a resource, not list"),
        ],
    )
    def test_what_is_no_name(self, serve_here, use, place):
        with pytest.raises(TypeError, match=f"takes the {place}"):
            use(serve_here(look), ["a"])

    def test_a_row_of_the_frame(self, library):
        with pytest.raises(TypeError, match=r"not Series: give its uri, as in resources\(\)\.uri\[0\]"):
            library.read(library.resources().iloc[0])
        assert library.read(library.resources().uri[0]) == "Buy amber."


class TestFailures:
    @pytest.mark.parametrize(
        ("name", "arguments", "said"),
        [
            ("pln", {}, "No prompt has this name; there is plan (which needs day and goal)."),
            ("xyz", {}, "No prompt has this name; there are plan (which needs day and goal) and hello."),
            ("plan", {"goal": "rest"}, "The prompt needs day, as in prompt('plan', day=…)."),
            ("plan", {}, "The prompt needs day and goal, as in prompt('plan', day=…, goal=…)."),
        ],
    )
    def test_of_a_prompt(self, library, name, arguments, said):
        for use in (library.prompt, lambda *names, **given: asyncio.run(library.prompt_async(*names, **given))):
            with pytest.raises(ToolError) as error:
                use(name, **arguments)
            assert str(error.value).endswith(said)

    def test_of_an_argument_too_many(self):
        listing = {"prompts": [{"name": "hello"}, {"name": "plan", "arguments": [{"name": "day"}]}]}
        assert describe_prompts(listing, "hello", ["a"]) == " The prompt has no argument a; it takes no arguments."
        assert describe_prompts(listing, "plan", ["dya"]) == " The prompt has no argument dya; it takes day."
        assert describe_prompts(listing, "plan", ["day"]) == ""
        assert describe_prompts({"prompts": []}, "plan", []) == " The server lists no prompts."

    def test_of_a_resource(self, library):
        with pytest.raises(
            ToolError, match=r"No resource with this URI is listed; there are notes://today and notes://"
        ):
            library.read("notes:/today")
        with pytest.raises(ToolError, match=r"there are notes://today and notes://{day}\.$"):
            library.read("x")

    def test_a_servers_names_act_on_no_terminal(self):
        listing = {"resources": [{"uri": f"a{at}\x1b[31m"} for at in range(30)], "resourceTemplates": []}
        said = describe_resources(listing, "x")
        assert "\x1b" not in said
        assert said.endswith("and 25 more.")
        assert describe_resources(listing, "a3\x1b[31m") == ""
        assert describe_resources({"resources": [], "resourceTemplates": []}, "x") == " The server lists no resources."

    def test_each_sentence_ends(self, library):
        for use in (lambda: library.prompt("pln"), lambda: library.read("x")):
            with pytest.raises(ToolError, match=r"[^. ]\. No (prompt|resource) "):
                use()

    def test_of_ten_thousand_names_few_are_compared(self, monkeypatch):
        compared = []
        monkeypatch.setattr(hints, "get_close_matches", lambda name, names: compared.extend(names) or [])
        uris = [{"uri": "a" * 1_000}, *({"uri": f"a{at}"} for at in range(10_000))]
        assert "and 9,996 more" in describe_resources({"resources": uris, "resourceTemplates": []}, "a")
        assert len(compared) == 500
        assert max(map(len, compared)) <= 128

    def test_a_list_that_cannot_be_had_leaves_the_error(self, library, monkeypatch):
        async def fail():
            raise ToolError("no list")

        monkeypatch.setattr(library._requests, "list_prompts", fail)
        with pytest.raises(ToolError) as error:
            library.prompt("pln")
        assert "no list" not in str(error.value)
        assert "No prompt" not in str(error.value)

    def test_a_replay_says_the_same_and_asks_for_nothing(self, start, tmp_path, gateway):
        tape = tmp_path / "tape.jsonl"
        uses = (lambda server: server.read("notes://none"), lambda server: server.prompt("brief"))
        keep = Amber(base_url=gateway.base_url, api_key="ambrs-exampletoken", mode="record", cassette=tape)
        said = []
        for use, server in ((use, server) for server in (start(),) for use in uses):
            with pytest.raises(ToolError) as error:
                use(server)
            said.append(str(error.value))
        keep.close()
        assert "there is notes://today" in said[0]
        assert "needs topic" in said[1]
        assert "/list" not in tape.read_text()
        replay = Amber(mode="replay", cassette=tape)
        dead = start()
        for use, words in zip(uses, said, strict=True):
            with pytest.raises(ToolError) as error:
                use(dead)
            assert str(error.value) == words
        assert dead._requests.opened == []
        del replay

    def test_a_long_error_keeps_both_ends(self, serve_here):
        def fail() -> str:
            raise FailedTool("head" + "x" * 5_000 + "the cause")

        with pytest.raises(ToolError) as error:
            serve_here(fail).call("fail")
        assert "failed: " in str(error.value)
        assert "head" in str(error.value)
        assert str(error.value).endswith("the cause")
        assert "characters left out" in str(error.value)
        assert len(str(error.value)) < 2_200


class TestTools:
    def test_the_frame_and_the_table_are_of_what_is_offered(self, serve_here):
        server = serve_here(look, change, send)
        for chosen, names in (
            (server, ["look", "change", "send"]),
            (server.select(only="look"), ["look"]),
            (server.select(exclude=["look", "send"]), ["change"]),
        ):
            frame = chosen.tools()
            assert list(frame.name) == names
            assert "offered_as" not in frame
            assert f": {len(names)} tool" in chosen._repr_mimebundle_()["text/plain"]

    def test_a_prefix_is_in_both(self, script, serve_here):
        server = serve_here(look, prefix="my_")
        server._target.server.add_tool(send, name="send.it")
        frame = server.tools()
        assert list(frame.columns[:2]) == ["name", "offered_as"]
        assert list(frame.offered_as) == ["my_look", "my_send_it"]
        assert frame.offered_as.dtype == frame.name.dtype
        for form in server._repr_mimebundle_().values():
            assert "prefix='my_'" in form
        asked = []
        amber = script(calling(("my_send_it", {"text": "a"})), "Done.")
        amber.ask("?", tools=server, require_approval=lambda call: asked.append(call.name) or False)
        assert asked == ["my_send_it"]

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"exclude": "*"}, "exclude= leaves no tool of the MCP server 'helper'. It has: look."),
            ({"only": []}, "only= leaves no tool of the MCP server 'helper'. It has: look."),
            ({"only": "look", "exclude": "l*"}, "only= and exclude= leave no tool of the MCP server 'helper'."),
        ],
    )
    def test_a_choice_of_none_is_an_error(self, script, serve_here, options, said):
        server = serve_here(look).select(**options)
        with pytest.raises(ConfigError) as error:
            script("Never.").ask("?", tools=server)
        assert said in str(error.value)
        assert list(server.tools().name) == []
        assert "no tools" in server._repr_mimebundle_()["text/plain"]


class TestSelect:
    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ("olny", r"select\(\) takes no 'olny'. Did you mean 'only'"),
            ("trust", r"takes no 'trust': it is given to mcp\(…\), for all of the server"),
            ("whatever", "Its keywords are only, exclude, prefix, require_approval"),
        ],
    )
    def test_an_unknown_keyword(self, wrong, said):
        with pytest.raises(TypeError, match=said):
            mcp("npx").select(**{wrong: "a"})

    def test_mcp_keeps_its_own(self):
        with pytest.raises(TypeError, match="Its keywords are only"):
            refuse_unknown("mcp", ["whatever"], ["only"])


class TestQuestions:
    def test_one_by_hand_is_declined_and_told_once(self, start):
        server = start()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert server.call("choose").text == "decline"
        assert [str(each.message) for each in caught] == [
            "amber: the MCP server 'toolbox' asked something during choose, which was declined: only in an "
            "ask(tools=…) can you answer it. It asked: Which colour?"
        ]

    def test_a_call_without_one_tells_nothing(self, start):
        assert start().call("echo", text="a").text == "a"


class TestAsync:
    def test_each_has_its_twin(self, library, serve_here):
        async def use():
            return [
                await library.tools_async(),
                await library.resources_async(),
                await library.read_async("notes://today"),
                await library.prompts_async(),
                await library.prompt_async("hello"),
            ]

        tools, resources, text, prompts, messages = asyncio.run(use())
        for now, then in ((tools, library.tools), (resources, library.resources), (prompts, library.prompts)):
            pd.testing.assert_frame_equal(now, then())
        assert text == "Buy amber."
        assert (messages, messages.group) == (library.prompt("hello"), library.key)
        assert isinstance(messages, PromptMessages)

    def test_two_wait_at_once(self, serve_here):
        both = asyncio.Event()
        running = []

        async def meet() -> str:
            """Wait for another call."""
            running.append(1)
            if len(running) == 2:
                both.set()
            await both.wait()
            return "met"

        server = serve_here(meet)

        async def use():
            return await asyncio.gather(server.call_async("meet"), server.call_async("meet", {}))

        assert [result.text for result in asyncio.run(use())] == ["met", "met"]

    def test_an_error_is_short(self, library):
        async def use():
            await library.read_async("x")

        with pytest.raises(ToolError) as error:
            asyncio.run(use())
        frames = [entry.frame.code.path.name for entry in error.traceback]
        assert "event_loop.py" not in frames
        assert "queries.py" not in frames


class TestTexts:
    def test_a_server_that_was_not_listed_says_how(self, serve_here):
        server = serve_here(look)
        assert repr(server) == "McpServer('helper')"
        assert str(server) == "McpServer('helper'), not listed yet: .tools() lists its tools"
        assert server._requests.opened == []
        server.tools()
        assert str(server) == repr(server)
        assert str(server).startswith("MCP server helper: 1 tool\n")

    def test_several_have_a_line_each(self, serve_here):
        listed, other = serve_here(look), serve_here(send, name="other")
        listed.tools()
        lines = str(McpServers([listed, other])).split("\n")
        assert lines == ["MCP server helper: 1 tool", str(other)]
