"""The simulator reads the dates, times and durations that a prompt gives, and keeps to the order of a tuple."""

from __future__ import annotations

import datetime as dt
from typing import Literal, NamedTuple

import pytest
from pydantic import BaseModel

from amber_nb.simulator.dates import find_durations, find_moments, find_times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on 2026-03-05.", ["2026-03-05"]),
        ("2026-01-31 and 2026-12-29", ["2026-01-31", "2026-12-29"]),
        ("on 2026/3/5", ["2026-03-05"]),
        ("on 5 March 2026", ["2026-03-05"]),
        ("the 5th of March, 2026", ["2026-03-05"]),
        ("March 5, 2026", ["2026-03-05"]),
        ("Sept. 1st 2026", ["2026-09-01"]),
        ("am 5. März 2026", ["2026-03-05"]),
        ("am 24. Dez. 2026", ["2026-12-24"]),
        ("am 5.3.2026", ["2026-03-05"]),
        ("am 05. 03. 2026", ["2026-03-05"]),
        ("03/05/2026", ["2026-03-05"]),
        ("25/12/2026", ["2026-12-25"]),
        ("from 1 May 2026 to 2026-05-09", ["2026-05-01", "2026-05-09"]),
        ("2026-02-30", []),
        ("version 2026-03", []),
        ("May 5 people come in 2026?", []),
        ("10.0.0.1 and 1.2.2026.3", ["2026-02-01"]),
    ],
)
def test_dates(text, expected):
    assert [moment.date for moment in find_moments(text)] == expected


@pytest.mark.parametrize(
    ("text", "time", "zone"),
    [
        ("2026-03-05T14:30:00Z", "14:30:00", "Z"),
        ("2026-03-05 14:30", "14:30:00", ""),
        ("2026-03-05T14:30:05+02:00", "14:30:05", "+02:00"),
        ("5 March 2026 at 2 pm", "14:00:00", ""),
        ("5 March 2026, 12:15 am", "00:15:00", ""),
        ("5. März 2026 um 9 Uhr", "09:00:00", ""),
        ("2026-03-05, 12 guests", None, ""),
        ("2026-03-05", None, ""),
    ],
)
def test_a_time_that_follows_a_date(text, time, zone):
    (moment,) = find_moments(text)
    assert (moment.time, moment.zone) == (time, zone)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at 9:30", ["09:30:00"]),
        ("9 am to 5 p.m.", ["09:00:00", "17:00:00"]),
        ("13 pm", []),
        ("25:00 or 12:75", []),
        ("9 lives", []),
    ],
)
def test_times(text, expected):
    assert [time for _, time in find_times(text)] == expected


def test_durations():
    assert find_durations("90 minutes, 2 hours, 3 Tage, 1 week, 5 s") == ["PT90M", "PT2H", "P3D", "P1W"]


class Event(BaseModel):
    title: str
    date: dt.date
    time: dt.time
    starts_at: dt.datetime


class Invoice(BaseModel):
    number: str
    issued: dt.date
    due: dt.date
    total: float


class Trip(BaseModel):
    start: dt.date
    end: dt.date


class Pair(NamedTuple):
    word: str
    count: int


UTC = dt.UTC


@pytest.mark.parametrize(
    ("prompt", "schema", "expected"),
    [
        ("It is due on 31 January 2026.", dt.date, dt.date(2026, 1, 31)),
        ("2026-03-05T14:30:00Z", dt.datetime, dt.datetime(2026, 3, 5, 14, 30, tzinfo=UTC)),
        ("It takes 90 minutes.", dt.timedelta, dt.timedelta(minutes=90)),
        (
            'The event "Kickoff" is on 5 March 2026 at 14:30.',
            Event,
            Event(
                title="Kickoff",
                date=dt.date(2026, 3, 5),
                time=dt.time(14, 30, tzinfo=UTC),
                starts_at=dt.datetime(2026, 3, 5, 14, 30, tzinfo=UTC),
            ),
        ),
        (
            "Invoice 17, issued 2 January 2026, due 1 February 2026, total 99.50 EUR",
            Invoice,
            Invoice(number="17", issued=dt.date(2026, 1, 2), due=dt.date(2026, 2, 1), total=99.5),
        ),
        (
            "The due date is 2026-02-01; it was issued on 2026-01-02. Invoice 17, total 3",
            Invoice,
            Invoice(number="17", issued=dt.date(2026, 1, 2), due=dt.date(2026, 2, 1), total=3),
        ),
        ("A trip, 1 May 2026 – 9 May 2026", Trip, Trip(start=dt.date(2026, 5, 1), end=dt.date(2026, 5, 9))),
    ],
)
def test_typed_answers_hold_the_dates_of_the_prompt(simulated, prompt, schema, expected):
    assert simulated.ask(prompt, schema=schema).parsed == expected


@pytest.mark.parametrize(
    "schema",
    [
        tuple[str, int],
        tuple[int, str, bool],
        tuple[int, float],
        list[tuple[str, int]],
        dict[str, tuple[str, int]],
        Pair,
        tuple[Literal["a", "b"], int],
        tuple[list[str], dict[str, int]],
        tuple[int, ...],
        tuple[dt.date, int],
        tuple[str, int | None],
    ],
)
def test_tuples_are_satisfied(simulated, schema):
    assert simulated.ask("Ada is 36.", schema=schema).complete
