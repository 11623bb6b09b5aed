"""Runs what the documentation has its reader type, and compares what it shows.

The README and the pages of docs/ share it, so what counts as shown is one rule: of each command that is shown with
output the output must come, where `...` stands for anything and what differs from run to run for its like.
"""

import os
import re
import select
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.aws.double.cloudformation import deploy
from tests.aws.double.double import Double
from tests.aws.double.templates import LARGEST_IN_A_BUCKET, LARGEST_TEMPLATE
from tests.serving import COMMAND

ROOT = Path(__file__).parent.parent
SERVERS = ("make run", "make aws-local", "asyncjob serve", "uvicorn ")
BUILD, PACKAGE, DEPLOY = "asyncjob build ", "aws cloudformation package ", "aws cloudformation deploy "
CTRL_C = "^C"
BACKUPS = "/backups/"  # as shown; the terminal's own folder stands for it
# What differs from run to run, and what stands for it.
VOLATILE = [
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z"), "TIME"),
    (re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", re.MULTILINE), "LOCAL TIME"),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT"), "DATE"),
    (re.compile(r"^id: [0-9a-f]{16}$", re.MULTILINE), "id: ID"),
    (re.compile(r"\b[\d,]+ bytes$", re.MULTILINE), "N bytes"),
    (re.compile(r"^(  database  ).*", re.MULTILINE), r"\1FILE"),
    (re.compile(r"^(  workers   )\d+ process(es)?", re.MULTILINE), r"\1N processes"),
    (re.compile(r'"status":"(Pending|Running)"'), '"status":"Running"'),
    (re.compile(r'("createdAt":"TIME")(?!,"startedAt")'), r'\1,"startedAt":"TIME"'),
]


class Command(NamedTuple):
    """A command and what is shown of its output."""

    line: str
    output: str


def commands(block: str) -> Iterator[Command]:
    """The commands of a block, each behind a `$ `, and what it shows of their output."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        yield Command(line, output)


def stable(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, replacement in VOLATILE:
        text = pattern.sub(replacement, text)
    return text.replace("\r\n", "\n").strip("\n")


def is_shown(said: str, output: str) -> bool:
    """Whether a command said what is shown of it."""
    return re.fullmatch(re.escape(stable(output)).replace(r"\.\.\.", ".*"), stable(said)) is not None


class Terminal:
    """Runs what a reader would type: servers in the background, on a free port that stands for 8000."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._deployed = ExitStack()
        self._server: subprocess.Popen[str] | None = None
        self._ports = {"8000": _free_port(), "8001": _free_port()}
        outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # the tests run under make themselves
        self._env = {
            **{name: value for name, value in os.environ.items() if name not in outer},
            "ASYNCJOB_PORT": self._ports["8000"],
            "AWS_LOCAL_PORT": self._ports["8001"],
            "UVICORN_PORT": self._ports["8000"],
            "ASYNCJOB_URL": f"http://127.0.0.1:{self._ports['8000']}",
            "ASYNCJOB_DATABASE": str(folder / "jobs.db"),
            "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
        }

    def run(self, command: Command) -> str:
        """Run a command as it is shown; what it printed."""
        if command.line == CTRL_C:
            self.stop()
            return ""
        if command.line.startswith(SERVERS):
            return self._serve(command)
        if command.line.startswith(PACKAGE):
            return _package(self._folder, shlex.split(command.line.removeprefix(PACKAGE)))
        if command.line.startswith(DEPLOY):
            return self._deploy(shlex.split(command.line.removeprefix(DEPLOY)))
        line = re.sub(r"^curl ", "curl -s ", command.line)
        done = subprocess.run(
            ["sh", "-euc", self._here(line)],
            cwd=self._folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        said = done.stdout.replace(f"{self._folder}/", BACKUPS)
        return "" if line.startswith(BUILD) and not command.output else said

    def write(self, source: str) -> None:
        """Write a file that is shown, with its name in the first line."""
        (self._folder / source.splitlines()[0].removeprefix("# ")).write_text(self._here(source))

    def _here(self, text: str) -> str:
        for shown, port in self._ports.items():
            text = text.replace(f":{shown}", f":{port}")
        return text.replace(f" {BACKUPS}", f" {self._folder}/")

    def _serve(self, command: Command) -> str:
        self.stop()
        folder = ROOT if command.line.startswith("make") else self._folder
        with (self._folder / "server.log").open("a") as log:
            self._server = subprocess.Popen(
                shlex.split(command.line),
                cwd=folder,
                env=self._env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if command.line.startswith("uvicorn ") else log,  # it says there where it is
                text=True,
                start_new_session=True,
            )
        assert self._server.stdout is not None
        assert select.select([self._server.stdout], [], [], 60)[0], (self._folder / "server.log").read_text()
        shown = max(4 if command.line.startswith("uvicorn ") else 1, len(command.output.splitlines()))
        said = "".join(self._server.stdout.readline() for _ in range(shown))
        for number, port in self._ports.items():
            said = said.replace(port, number)
        return said if command.output else ""

    def _deploy(self, arguments: list[str]) -> str:
        """What CloudFormation would check of the command, by the double, which stays up for a package."""
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        bucket = options.pop("--s3-bucket", None)
        assert set(options) == {"--template-file", "--stack-name", "--capabilities"}
        template = options["--template-file"]
        file = self._folder / template if "/" in template else ROOT / template
        largest = LARGEST_TEMPLATE if bucket is None else LARGEST_IN_A_BUCKET
        stack = deploy(file.read_text(), name=options["--stack-name"], largest=largest)
        named = any("RoleName" in role.properties for role in stack.of_type("AWS::IAM::Role"))
        assert options["--capabilities"] == ("CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM")
        if file.name == "packaged.yaml":
            double = self._deployed.enter_context(Double(file.read_text(), bucket=file.parent))
            self._env |= {"ApiEndpoint": double.url, **double.tester}
        return ""

    def close(self) -> None:
        """Stop what was started."""
        self.stop()
        self._deployed.close()

    def stop(self) -> None:
        """Press Ctrl-C, if a server runs."""
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGINT)
            assert self._server.stdout is not None
            self._server.stdout.close()
            self._server.wait(timeout=60)
            self._server = None


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _package(folder: Path, arguments: list[str]) -> str:
    """What the AWS command line does: it puts the code into the bucket, and names it in the template."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    template = folder / options["--template-file"]
    text, count = re.subn(
        r'^( *Code): "(.*)"$',
        rf"\1: {{S3Bucket: {options['--s3-bucket']}, S3Key: \2}}",
        template.read_text(),
        flags=re.M,
    )
    assert count > 0
    assert (template.parent / "code.zip").is_file()
    (folder / options["--output-template-file"]).write_text(text)
    return ""
