"""How `--help` reads: in words instead of Python's types, and with no description cut short.

typer names a value's type as Python does (`<int range>`), and ends the description of a command where its line ends.
Both are changed here, for every command, so that none has to think of it.
"""

import re
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

KINDS = (("int", "NUMBER"), ("float", "NUMBER"), ("file", "FILE"), ("path", "PATH"), ("dir", "FOLDER"))
SHOWN_TYPE = re.compile(r" <([^>]+)>")


class Command(TyperCommand):
    """A command whose help has words for its values."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The arguments as manuals write them: `ID` where one is required, `[TARGET]` where not."""
        return [re.sub(r"[{}]", "", piece).upper() for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options, each with what it takes."""
        for kind, title in (("argument", "Arguments"), ("option", "Options")):
            described = [each.get_help_record(ctx) for each in self.get_params(ctx) if each.param_type_name == kind]
            rows = [(_shown(name, kind), text) for name, text in filter(None, described)]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Group(TyperGroup):
    """The command that has the others."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write what each command does, on as many lines as it takes."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, " ".join((command.help or "").split())) for name, command in self.commands.items()]
            )


class CommandLine(typer.Typer):
    """Commands with such help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=Group, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a function as a command."""
        return super().command(name, cls=Command, **settings)


def _shown(name: str, kind: str) -> str:
    """The name of an argument, which says what it is; or of an option, with what it takes."""
    if kind == "argument":
        return SHOWN_TYPE.sub("", name).upper()
    return SHOWN_TYPE.sub(lambda found: f" {_word(found[1])}", name)


def _word(label: str) -> str:
    if "|" in label:  # the values that there are
        return label
    return next((word for start, word in KINDS if label.removeprefix("list[").startswith(start)), "TEXT")
