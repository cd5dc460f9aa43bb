"""The simulator reads the dates, times and durations that a prompt gives, and keeps to the order of a tuple."""

from __future__ import annotations

import datetime as dt
from typing import Literal, NamedTuple

import pytest
from pydantic import BaseModel, TypeAdapter

from amber_nb.simulator.dates import find_moments, find_times
from amber_nb.simulator.durations import find_durations


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
        ("May 3,2024", ["2024-05-03"]),
        ("May 3rd,2024 or May 32024", ["2024-05-03"]),
        ("3-May-2024", ["2024-05-03"]),
        ("03-DEC-2024, 4/Jan/2025", ["2024-12-03", "2025-01-04"]),
        ("2024-May-03", ["2024-05-03"]),
        ("on 20240503.", ["2024-05-03"]),
        ("20240503T193000", ["2024-05-03"]),
        ("19991231 to 20000101", ["1999-12-31", "2000-01-01"]),
        ("20241301, 18240503, 21240503, 202405031, 20240230", []),
        ("20240503.5, 1.20240503, a20240503, 20240503x", []),
        ("invoice 20240503, order no. 20240503, #20240503", []),
        ("am 5. Jänner 2024", ["2024-01-05"]),
        ("am 3. Febr. 2024, 4. Feber 2024", ["2024-02-03", "2024-02-04"]),
        ("am 5.März 2024", ["2024-03-05"]),
        ("am 5. Mai\u00a02024", ["2024-05-05"]),
        ("5th of Sept., 2024", ["2024-09-05"]),
        ("version 1.2.2024", []),
        ("Version: 1.2.2024, v 1.2.2024, v1.2.2024, ver. 1.2.2024", []),
        ("release 1.2.2024, build 1.2.2024, Kapitel 1.2.2024", []),
        ("version of 1.2.2024", ["2024-02-01"]),
        ("customer 20240503, user: 20240503, ref. 20240503", []),
        ("Rechnung 1.2.2024", ["2024-02-01"]),
        ("Rechnung Nr. 20240503 vom 20240504", ["2024-05-04"]),
        ("the version, 1.2.2024", ["2024-02-01"]),
        ("release 2024-05-03", ["2024-05-03"]),
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
        ("am 5.3.2026 um 19.30 Uhr", "19:30:00", ""),
        ("am 5. März 2026, 19 Uhr 30", "19:30:00", ""),
        ("3-May-2024 7.30 pm", "19:30:00", ""),
        ("20240503 14:00", "14:00:00", ""),
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
        ("um 19.30 Uhr", ["19:30:00"]),
        ("von 8.00 Uhr bis 9.15 Uhr", ["08:00:00", "09:15:00"]),
        ("19 Uhr 30 und 7 Uhr", ["19:30:00", "07:00:00"]),
        ("7.30pm", ["19:30:00"]),
        ("7.30 litres, 19.30 EUR", []),
        ("25.30 Uhr", []),
    ],
)
def test_times(text, expected):
    assert [time for _, time in find_times(text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90 minutes, 2 hours, 3 Tage, 1 week, 5 s", ["PT90M", "PT2H", "P3D", "P1W"]),
        ("1,5 Stunden", ["PT1.5H"]),
        ("1.5 hours", ["PT1.5H"]),
        ("0,25 Std.", ["PT0.25H"]),
        ("1,500 hours", ["PT1500H"]),
        ("1.500 Stunden", ["PT1500H"]),
        ("1h 30min", ["PT1H30M"]),
        ("1h30min", ["PT1H30M"]),
        ("1h 30m", ["PT1H30M"]),
        ("1 hour and 30 minutes", ["PT1H30M"]),
        ("1 Stunde und 30 Minuten", ["PT1H30M"]),
        ("2 days, 3 hours and 4 minutes", ["P2DT3H4M"]),
        ("1 week 3 days", ["P10D"]),
        ("1 year and 2 months", ["P1Y2M"]),
        ("1:30 h", ["PT1H30M"]),
        ("30 minutes or 1 hour", ["PT30M", "PT1H"]),
        ("2 hours or 30 minutes", ["PT2H", "PT30M"]),
        ("1.5 hours 10 minutes", ["PT1.5H", "PT10M"]),
        ("an hour", ["PT1H"]),
        ("a week", ["P1W"]),
        ("an hour and a half", ["PT1.5H"]),
        ("half an hour", ["PT30M"]),
        ("eine halbe Stunde", ["PT30M"]),
        ("anderthalb Stunden", ["PT1.5H"]),
        ("two hours and ten minutes", ["PT2H10M"]),
        ("eine Stunde", ["PT1H"]),
        ("2 months", ["P2M"]),
        ("3 Monate", ["P3M"]),
        ("2 years", ["P2Y"]),
        ("a 90-minute talk", ["PT90M"]),
        ("45 sec", ["PT45S"]),
        ("PT1H30M", ["PT1H30M"]),
        ("twice a day for 20 minutes", ["PT20M"]),
        ("20 EUR an hour, 3 times a week", []),
        ("a second opinion, 2 std deviations", []),
        ("one second", ["PT1S"]),
        ("the 1990s, 5 hats, 3 minty leaves, 2 monthly", []),
    ],
)
def test_durations(text, expected):
    assert find_durations(text) == expected
    for duration in expected:  # each is one that pydantic and the format's checker take
        assert TypeAdapter(dt.timedelta).validate_python(duration) > dt.timedelta(0)


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
