"""What pydantic would check in a hint, and this package does not, is refused: it must not go unchecked."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import annotated_types
import msgspec
import pydantic
import pydantic.dataclasses
import pytest

from asyncjob import Jobs, RegistrationError


class Model(pydantic.BaseModel):
    """A model."""

    n: int


@pydantic.dataclasses.dataclass
class Checked:
    """A dataclass with a validator."""

    n: int


@dataclasses.dataclass
class Order:
    """A plain dataclass with a bound of pydantic."""

    count: Annotated[int, pydantic.Field(ge=1)]
    more: "list[Order]"


@dataclasses.dataclass
class Thumbnail:
    """Where a file is, and its size."""

    path: Path
    width: int


class Line(TypedDict):
    """The same in a TypedDict."""

    name: pydantic.constr(min_length=1)  # type: ignore[valid-type]


class Struct(msgspec.Struct):
    """The same in a Struct, two levels down."""

    lines: dict[str, list[Line]]


@dataclasses.dataclass
class Node:
    """A dataclass that is in itself, with a bound that is checked."""

    weight: Annotated[int, msgspec.Meta(ge=1), pydantic.Field(description="of the node")]
    children: "list[Node]"


BOUND = "which is not checked: write msgspec.Meta, as in Annotated[int, msgspec.Meta(ge=1)]"


def _register(hint: Any, returns: Any = None) -> None:
    def function(value: Any) -> Any:
        return value

    function.__annotations__ = {"value": hint, "return": returns}
    Jobs().job(function)


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (Annotated[int, pydantic.Field(ge=1)], f"Ge(ge=1), {BOUND}"),
        (Annotated[int, annotated_types.Gt(1)], f"Gt(gt=1), {BOUND}"),
        (pydantic.PositiveInt, f"Gt(gt=0), {BOUND}"),
        (list[pydantic.PositiveInt] | None, f"Gt(gt=0), {BOUND}"),
        (Order, f"Ge(ge=1), {BOUND}"),
        (dict[str, Struct], BOUND),
        (Annotated[str, pydantic.BeforeValidator(str)], "BeforeValidator("),
        (Checked, "Checked, a dataclass of pydantic, whose validation does not run here: take a plain one"),
        (Path, "Path, and JSON has no paths: write str in its place, and convert in the function"),
        (list[Thumbnail], "Path, and JSON has no paths: write str"),
        (list[Model], "Model, a model of pydantic: take a dict, and use Model.model_validate and model_dump"),
    ],
)
def test_what_would_go_unchecked_is_refused_with_what_to_write(hint: Any, said: str) -> None:
    with pytest.raises(RegistrationError, match=r"^function: the hint of 'value' has ") as refused:
        _register(hint)
    assert said in str(refused.value)
    with pytest.raises(RegistrationError, match=r"^function: the hint of what it returns has ") as refused:
        _register(int, returns=hint)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "hint",
    [
        Node,
        Annotated[int, pydantic.Field(description="how many")],
        Annotated[int, "a word", msgspec.Meta(ge=1)],
        Literal["a", "b"],
        dict[str, Any],
    ],
)
def test_what_is_checked_or_says_nothing_to_check_is_taken(hint: Any) -> None:
    _register(hint, returns=hint)
