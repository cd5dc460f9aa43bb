"""The cell that asked: work for its thread, its loop, and a reader at the keyboard."""

import asyncio
import json
import threading

import pytest
from patience import PATIENCE_S, until_async
from scripted import calling, scripted

from amber_nb import Allow, Deny, ToolError, tool
from amber_nb.chat import ask as asking
from amber_nb.chat.execute import CellExecutor, UserCodeError
from amber_nb.display import kernel as cell
from amber_nb.wire import event_loop as loop


@pytest.fixture
def inbox():
    return loop.Inbox()


@pytest.fixture
def keyboard(monkeypatch):
    """What is typed, line by line; and what was shown of each question."""
    lines, shown = [], []

    def typed(prompt):
        shown.append(prompt)
        line = lines.pop(0)
        if isinstance(line, BaseException):
            raise line
        return line

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr(cell, "can_prompt", lambda: True)  # of a kernel that has no live display: AMBER_DISPLAY=static
    monkeypatch.setenv("AMBER_DISPLAY", "static")
    return lines


def buy(item: str, n: int = 1) -> str:
    """Buy something."""
    return f"{n} {item}"


def run(*calls):
    with scripted() as play:
        return play(calling(*calls), "Done.").ask("?", tools=buy, require_approval=True, show=False)


@pytest.mark.parametrize(
    ("typed", "status", "sent"),
    [
        (["y"], "ran", "1 tea"),
        (["YES"], "ran", "1 tea"),
        (["what?", "", "y"], "ran", "1 tea"),
        (["n", ""], "denied", "Denied: this call was not allowed to run."),
        (["n", "too dear"], "denied", "Denied: this call was not allowed to run. Reason: too dear"),
        (['{"item": "coffee"}'], "ran", '[The reader changed the arguments to {"item": "coffee"}]\n1 coffee'),
        (
            ["{", '{"item": 5}', '{"item": "milk"}'],
            "ran",
            '[The reader changed the arguments to {"item": "milk"}]\n1 milk',
        ),
    ],
)
def test_the_reader_decides_at_the_keyboard(keyboard, capsys, typed, status, sent):
    keyboard += typed
    (one,) = run(("buy", {"item": "tea"})).tool_runs
    assert (one.status, one.sent, one.decided_by) == (status, sent, "reader")
    assert 'the model wants to call buy({"item": "tea"})' in capsys.readouterr().out
    assert keyboard == []


def test_all_of_an_answer_may_be_allowed(keyboard):
    keyboard += ["a"]
    calls = [("buy", {"item": "tea"}), ("buy", {"item": "milk"})]  # the second waits for its turn at the keyboard
    with scripted() as play:
        amber = play(calling(*calls), calling(*calls), "Done.")
        answer = amber.ask("?", tools=buy, require_approval=True, show=False)
    assert [one.status for one in answer.tool_runs] == ["ran"] * 4


def test_two_questions_do_not_mix_at_one_keyboard(keyboard):
    keyboard += ["n", "first", "n", "second"]
    reasons = {one.reason for one in run(("buy", {"item": "tea"}), ("buy", {"item": "milk"})).tool_runs}
    assert reasons == {"first", "second"}


@pytest.mark.parametrize("error", [EOFError(), NotImplementedError("no stdin"), RuntimeError("raw_input")])
def test_where_nothing_can_be_typed_it_is_an_error(keyboard, error):
    keyboard += [error]
    with pytest.raises(ToolError, match=f"cannot be asked for here \\({type(error).__name__}\\)"):
        run(("buy", {"item": "tea"}))


def test_an_interrupt_at_the_keyboard_is_one(keyboard):
    keyboard += [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        run(("buy", {"item": "tea"}))


def test_a_secret_is_not_typed_about_and_comes_back_whole(keyboard, capsys):
    def pay(token: str, amount: int) -> str:
        return f"{amount} with {token}"

    keyboard += ['{"token": "•••", "amount": "x"}', '{"token": "•••", "amount": 2}']
    with scripted() as play:
        amber = play(calling(("pay", {"token": "tok-sesame", "amount": 1})), "Done.")
        (one,) = amber.ask("?", tools=pay, require_approval=True, show=False).tool_runs
    assert (one.arguments, one.result) == ({"token": "tok-sesame", "amount": 2}, "2 with tok-sesame")
    assert "tok-sesame" not in capsys.readouterr().out


def test_a_mask_is_never_an_argument(keyboard, capsys):
    def post(url: str, body: str) -> str:
        return body

    body = '{"user": "u", "password": "hunter2secret"}'
    hidden = '{"user": "u", "password": "•••"}'
    keyboard += [
        json.dumps({"url": "b", "body": hidden.replace('"u"', '"v"')}),
        json.dumps({"url": "b", "body": hidden}),
    ]
    with scripted() as play:
        amber = play(calling(("post", {"url": "a", "body": body})), "Done.")
        (one,) = amber.ask("?", tools=post, require_approval=True, show=False).tool_runs
    assert (one.arguments, one.result) == ({"url": "b", "body": body}, body)
    assert "Write the secrets out" in capsys.readouterr().out


def test_what_is_hidden_can_be_seen_by_whoever_allows_it(keyboard, capsys):
    def delete(bucket: str, key: str) -> str:
        return key

    keyboard += ["s", "y"]
    with scripted() as play:
        amber = play(calling(("delete", {"bucket": "prod", "key": "backups/all.tar"})), "Done.")
        (one,) = amber.ask("?", tools=delete, require_approval=True, show=False).tool_runs
    first, second = capsys.readouterr().out.splitlines()
    assert '"key": "•••"' in first
    assert '"key": "backups/all.tar"' in second
    assert one.status == "ran"


@pytest.mark.parametrize(
    "typed",
    [
        '{"users": [{"id": 2, "token": "•••"}, {"id": 1, "token": "•••"}]}',
        '{"users": [{"id": 1, "token": "•••"}, {"id": 2, "token": "•••"}, {"id": 3, "token": "•••"}]}',
    ],
)
def test_a_secret_is_not_given_to_another(keyboard, capsys, typed):
    def invite(users: list[dict[str, object]]) -> str:
        return str(users)

    users = [{"id": 1, "token": "tok-one"}, {"id": 2, "token": "tok-two"}]
    keyboard += [typed, "n", ""]
    with scripted() as play:
        amber = play(calling(("invite", {"users": users})), "Done.")
        (one,) = amber.ask("?", tools=invite, require_approval=True, show=False).tool_runs
    assert one.status == "denied"
    assert "Write the secrets out" in capsys.readouterr().out


def test_what_is_shown_cannot_move_the_cursor(keyboard, capsys):
    keyboard += ["y"]
    run(("buy", {"item": "\x1b[2J\u202e"}))
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("read_only", [True, False, None])
def test_the_prompt_says_what_the_tool_does_and_what_will_apply(keyboard, capsys, read_only):
    @tool(read_only=read_only)
    def pay(to: str, amount: int = 1, currency: str = "EUR", token: str = "tok-sesame") -> str:
        """Pay somebody.

        \x1b[2JFor good.

        Args:
            to: A name.
        """
        return to

    keyboard += ["y"]
    with scripted() as play:
        play(calling(("pay", {"to": "Ann"})), "Done.").ask("?", tools=pay, require_approval=True, show=False)
    call, *notes = capsys.readouterr().out.splitlines()
    assert call == 'amber: the model wants to call pay({"to": "Ann"})'
    said = ["  This tool says that it changes things."] if read_only is False else []
    defaults = '  Not given: amount = 1, currency = "EUR"'
    assert notes == ["  Pay somebody.", "", "  ␛[2JFor good.", defaults, *said]


@pytest.fixture
def slowly(clock, keyboard, monkeypatch):
    """Somebody who takes so long for each yes."""

    def take(*seconds):
        pauses = iter(seconds)

        def typed(prompt):
            loop.submit(asyncio.sleep(0)).result(PATIENCE_S)  # by now the loop has heard that the question is put
            clock.advance(next(pauses))
            return "y"

        monkeypatch.setattr("builtins.input", typed)

    return take


def test_a_limit_of_time_is_a_no(slowly):
    slowly(5)
    with scripted() as play:
        amber = play(calling(("buy", {"item": "tea"})), "Done.")
        answer = amber.ask("?", tools=buy, require_approval=True, approval_timeout_s=5, show=False)
    (one,) = answer.tool_runs
    assert (one.status, one.decided_by) == ("denied", "timeout")
    assert "nobody decided within 5 s" in one.sent


def test_the_limit_counts_from_when_the_question_is_put(slowly):
    slowly(2, 2)
    with scripted() as play:
        amber = play(calling(("buy", {"item": "tea"}), ("buy", {"item": "milk"})), "Done.")
        answer = amber.ask("?", tools=buy, require_approval=True, approval_timeout_s=3, show=False)
    assert [one.status for one in answer.tool_runs] == ["ran", "ran"]


def test_work_for_the_cell_runs_in_the_thread_that_waits(inbox):
    waiting = loop.submit(CellExecutor(inbox, None).run_in_cell(threading.current_thread))
    assert loop.wait(waiting, inbox) is threading.main_thread()


def test_what_work_raises_comes_back_whole(inbox):
    waiting = loop.submit(CellExecutor(inbox, None).run_in_cell(lambda: 1 / 0))
    with pytest.raises(UserCodeError) as caught:
        loop.wait(waiting, inbox)
    assert isinstance(caught.value.error, ZeroDivisionError)


def test_what_is_put_in_wakes_the_waiter_at_once(inbox, monkeypatch):
    monkeypatch.setattr(loop, "_SIGNAL_CHECK_S", 2 * PATIENCE_S)
    called = threading.Event()

    async def put():
        inbox.put(called.set)
        await until_async(called.is_set)

    loop.wait(loop.submit(put()), inbox)

    async def awaited():
        called.clear()
        await loop.wait_async(loop.submit(put()), inbox)

    asyncio.run(awaited())


def test_the_decisions_are_public():
    assert Allow() != Deny()
    assert asking.DEFAULTS["require_approval"] is False
