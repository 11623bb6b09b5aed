"""Apache Velocity 1.7 itself, in a process: what the double's mapping templates are held against."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.aws.double.vtl import Params

REQUIRED = "ASYNCJOB_VELOCITY"  # set where Velocity must be there, as in CI
PACKAGES = "velocity libjson-smart-java default-jdk-headless"  # Debian's
NULLS = ("kept", "set", "empty")  # what a null may be on API Gateway, see Mapping.java

_NAMES = ("velocity", "commons-collections3", "commons-lang", "json-smart", "accessors-smart", "asm")
_JARS = [Path("/usr/share/java") / f"{name}.jar" for name in _NAMES]


class VelocityError(Exception):
    """Velocity could not read or render a template."""


@dataclass(frozen=True)
class Rendering:
    """What a template made: its text, and `$context` with what it overrode."""

    text: str
    context: dict[str, Any]


def missing() -> str:
    """What is missing on this machine for Velocity to run; empty where it can."""
    absent = [str(jar) for jar in _JARS if not jar.exists()] + ([] if shutil.which("javac") else ["javac"])
    return f"no {', '.join(absent)}: apt-get install {PACKAGES}" if absent else ""


class Velocity:
    """A running Velocity; started once, since Java takes a second to start."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def render(
        self,
        template: str,
        *,
        body: str = "",
        params: Params | None = None,
        context: Mapping[str, Any] | None = None,
        stage_variables: Mapping[str, str] | None = None,
        nulls: tuple[str, ...] = NULLS,
    ) -> list[Rendering]:
        """Render a template, once for each of the nulls.

        Args:
            template: The template's text.
            body: The body that it sees.
            params: The parameters of the method request; none by default.
            context: `$context`; nothing by default. A template may set only overrides that are in it, empty.
            stage_variables: `$stageVariables`; none by default.
            nulls: What a null is, of NULLS.

        Raises:
            VelocityError: Velocity refuses the template, or what it calls failed.
        """
        p = params or Params()
        request = {
            "template": template,
            "body": body,
            "params": {"path": p.path, "querystring": p.querystring, "header": p.header},
            "context": context or {},
            "stageVariables": stage_variables or {},
            "nulls": list(nulls),
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request).replace("\x7f", r"\u007f") + "\n")
        self._process.stdin.flush()
        answers = json.loads(self._process.stdout.readline())
        for answer in answers:
            if "error" in answer:
                raise VelocityError(answer["error"])
        return [Rendering(answer["text"], answer["context"]) for answer in answers]


def required() -> None:
    """Skips the test where Velocity cannot run, with the reason; fails it where it must."""
    if reason := missing():
        (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(f"Apache Velocity cannot run: {reason}")


@contextmanager
def started() -> Iterator[Velocity]:
    """Velocity in a process of its own, which ends with the context."""
    command = ["java", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp"]
    command += [":".join(map(str, _JARS)), str(Path(__file__).with_name("Mapping.java"))]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, encoding="ascii"
    ) as process:
        try:
            yield Velocity(process)
        finally:
            process.kill()
