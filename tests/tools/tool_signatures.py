"""Functions whose schemas are compared with those that other libraries make; needs pydantic alone."""

import functools
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Optional, Union
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict


class Unit(Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Point:
    x: float
    y: float = 0.0


@dataclass
class Route:
    """A way from one place to the next."""

    start: Point
    stops: list[Point] = field(default_factory=list)


class City(BaseModel):
    """A city."""

    name: str = Field(description="as on the map")
    people: int | None = None


class Trip(BaseModel):
    cities: list[City]
    when: date | None = None
    note: str = "none"


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


class Node(BaseModel):
    value: int
    children: list["Node"] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []


class Guest(TypedDict):
    name: str
    age: NotRequired[int]


class Pair(NamedTuple):
    left: int
    right: str = "r"


def get_current_weather(location: str, unit: Literal["celsius", "fahrenheit"] = "celsius"):
    """Get the current weather in a given location

    Args:
        location: The city and state, e.g. Aachen, North Rhine-Westphalia
    """


def nothing():
    """Do nothing."""


def no_docstring(a: int): ...


def no_hints(a, b=3):
    """Add."""


def scalars(a: str, b: int, c: float, d: bool): ...


def defaults(a: str = "x", b: int = 3, c: float = 0.5, d: bool = True): ...


def optional(a: Optional[int] = None): ...  # noqa: UP045


def optional_pipe(a: str | None = None, b: int | str | None = None): ...


def optional_required(a: int | None): ...


def optional_other(a: int | None = 5): ...


def union(a: Union[int, str]): ...  # noqa: UP007


def literal_numbers(a: Literal[1, 2, 3]): ...


def literal_one(a: Literal["only"] = "only"): ...


def enum(a: Unit, b: Unit = Unit.CELSIUS): ...


def int_enum(a: Level): ...


def lists(a: list[str], b: list[int] | None = None): ...


def bare_containers(a: list, b: dict): ...


def nested_lists(a: list[list[float]]): ...


def dicts(a: dict[str, int], b: dict[str, Any]): ...


def enum_keys(a: dict[Unit, float]): ...


def abstract(a: Sequence[int], b: Mapping[str, str]): ...


def tuples(a: tuple[int, str], b: tuple[float, ...]): ...


def sets(a: set[int], b: frozenset[str] = frozenset()): ...


def named_tuple(a: Pair): ...


def dates(a: date, b: datetime, c: time, d: timedelta): ...


def identifiers(a: UUID, b: Path, c: Decimal, d: bytes): ...


def dataclass_(a: Point): ...


def dataclass_nested(a: Route): ...


def model(city: City): ...


def model_nested(trip: Trip): ...


def model_closed(a: Closed): ...


def model_list(cities: list[City], more: list[City]): ...


def model_optional(city: City | None = None): ...


def recursive(tree: Node): ...


def tagged(pet: Annotated[Cat | Dog, Field(discriminator="kind")]): ...


def typed_dict(guests: list[Guest]): ...


def annotated_text(a: Annotated[str, "what to look for"]): ...


def annotated_field(a: Annotated[int, Field(ge=1, le=10, description="how many")]): ...


def field_default(a: int = Field(3, ge=1, description="how many")): ...


def constrained(
    a: Annotated[str, Field(min_length=1, max_length=5, pattern="^[a-z]+$")],
    b: Annotated[list[int], Field(max_length=3)],
    c: Annotated[float, Field(gt=0, multiple_of=0.5)],
): ...


def google(a: int, b: str = "x") -> str:
    """Look something up.

    It takes a while,
    but not for ever.

    Args:
        a: how many, in a line that is
            wrapped
        b (str, optional): what for

    Returns:
        what was found
    """


def numpy_style(a: int, b: str = "x"):
    """Look something up.

    It takes a while.

    Parameters
    ----------
    a : int
        how many
    b : str, optional
        what for

    Returns
    -------
    str
        what was found
    """


def sphinx_style(a: int, b: str = "x"):
    """Look something up.

    :param a: how many
    :param str b: what for
    :returns: what was found
    """


def keyword_only(a: int, *, b: str, c: bool = False): ...


def positional_only(a: int, b: str = "x", /): ...


def var_positional(a: str, *numbers: int): ...


def var_keyword(a: str, **labels: str): ...


def string_hints(a: "int", b: "City | None" = None): ...


async def asynchronous(a: int):
    """Wait."""


def any_(a: Any, b: object = None): ...


def new_type(a: typing.NewType("Kelvin", float)): ...


class Shelf:
    def find(self, title: str, limit: int = 5):
        """Find a book.

        Args:
            title: as on the cover
        """

    @staticmethod
    def count(kind: str): ...

    @classmethod
    def made(cls, kind: str): ...


def _search(engine: object, query: str, limit: int = 3):
    """Search.

    Args:
        query: what for
    """


bound_method = Shelf().find
static_method = Shelf.count
class_method = Shelf.made
partial_keyword = functools.partial(_search, engine=object())
functools.update_wrapper(partial_keyword, _search)
del partial_keyword.__wrapped__

SIGNATURES = {
    name: item
    for name, item in list(globals().items())
    if not name.startswith("_")
    and callable(item)
    and not isinstance(item, type)
    and (getattr(item, "__module__", "") == __name__ or isinstance(item, functools.partial))
}
