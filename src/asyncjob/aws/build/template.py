"""Fills template.yaml, in its two editions: the functions' code, the model, the hash in the deployments' names.

What is deployed is text that can be read and reviewed. The inline edition, the original system, is filled and
committed: `make template` writes it and `make check` fails where it is out of date. The package edition, for a user's
own functions, takes its code from a zip. What only one of them has stands between `#{{ inline` or `#{{ package` and
`#}}`. What has a name there, or behind `#{{ both`, stands again where the line `#{{ name }}` is.
"""

import hashlib
import json
import math
import re
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asyncjob.aws.build.inline import inline
from asyncjob.aws.build.lambdas import DEFAULT_PYTHON
from asyncjob.aws.build.model import submission_model
from asyncjob.aws.build.policy import Statement
from asyncjob.contract import JOB_ID
from asyncjob.loading import load
from asyncjob.registry import Jobs

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent
RUNTIME = HERE.parent / "runtime"
SPARE_SECONDS = 1.5  # of an invocation, for the outcome
MAX_TEMPLATE_BYTES = 51_200  # what CloudFormation takes without a bucket
MAX_UPLOADED_BYTES = 1_048_576  # and from a bucket
API_BEGINS, API_ENDS = "# ---- The API.", "# ---- The stage."
FENCED = re.compile(
    r"^ *#\{\{ (?P<edition>inline|package|both)(?: (?P<name>\w+))?\n(?P<text>.*?)^ *#\}\}\n", re.M | re.S
)
AGAIN = re.compile(r"^ *#\{\{ (\w+) \}\}\n", re.M)

CORE = ("context", "failure", "isolation", "job", "loading", "loop", "registry", "runner", "sleep", "version")
"""The modules of the core that aws/runtime/ needs in the zip. Beside the standard library they need msgspec."""


def fill(source: str, jobs: Jobs) -> str:
    """The inline edition, for these job functions.

    Args:
        source: the text of template.yaml, in which `{{ name }}` marks what is to be filled in.
        jobs: the registry whose signatures the API validates.

    Raises:
        ValueError: it is over the limit of a template that is deployed without a bucket.
    """
    text = _edition(source, "inline")
    for name in ("processor", "recorder"):
        text = re.sub(
            rf'^( *)ZipFile: "{{{{ {name} }}}}"$',
            partial(_zip_file, inline(RUNTIME, f"inline_{name}")),
            text,
            flags=re.M,
        )
    values = {
        "authorization": "NONE",  # as the original
        "timeout": "30",
        "runtime": f"python{DEFAULT_PYTHON}",
        "architecture": "arm64",
        "methods": "SubmitMethod, GetMethod",
        "preflights": "${JobsPreflight} ${JobPreflight}",
    }
    return _filled(text, jobs, values, MAX_TEMPLATE_BYTES)


@dataclass(frozen=True, kw_only=True)
class Package:
    """What the build decides of the package edition.

    Attributes:
        code: where the zip is, relative to the template; `aws cloudformation package` puts its bucket in the place.
        target: what imports the registry in the zip, as `loading.load` takes it: `module` or `module:name`.
        runtime: of Lambda, such as `python3.13`.
        architecture: of Lambda, `arm64` or `x86_64`.
        timeout: seconds that one attempt may last where its function says no less.
        statements: of IAM, further ones for the role of the processor.
    """

    code: str
    target: str
    runtime: str
    architecture: str
    timeout: int
    statements: list[Statement]


def fill_package(source: str, jobs: Jobs, package: Package) -> str:
    """The package edition, whose functions run the code in a zip.

    Args:
        source: the text of template.yaml.
        jobs: the registry that the zip holds.
        package: what the build decides.

    Raises:
        ValueError: it is over the limit of a template that is deployed from a bucket.
    """
    text = _edition(source, "package")
    line = re.compile(r"^( *)- \{\{ statements \}\}\n", re.M)
    text = line.sub(lambda place: "".join(f"{place[1]}- {json.dumps(each)}\n" for each in package.statements), text)
    values = {
        "authorization": "AWS_IAM",  # who may call starts jobs at the owner's cost: everybody only if the owner says so
        "code": json.dumps(package.code),
        "target": package.target,
        "default type": jobs.names[0],
        "runtime": package.runtime,
        "architecture": package.architecture,
        "timeout": str(max(package.timeout, least_timeout(jobs))),
        "methods": "SubmitMethod, GetMethod, CancelMethod, LargeMethod",
        "preflights": "${JobsPreflight} ${JobPreflight} ${CancelPreflight} ${LargePreflight}",
    }
    return _filled(text, jobs, values, MAX_UPLOADED_BYTES)


def least_timeout(jobs: Jobs) -> int:
    """Seconds that the processor needs for the longest `timeout` of a function, and to record that it was over."""
    return max(3, *(math.ceil((function.timeout or 0) + SPARE_SECONDS) for function in jobs))


def _edition(source: str, edition: str) -> str:
    """The source as one edition has it."""
    named = {fenced["name"]: fenced["text"] for fenced in FENCED.finditer(source) if fenced["name"]}
    text = FENCED.sub(lambda fenced: fenced["text"] if fenced["edition"] in ("both", edition) else "", source)
    return AGAIN.sub(lambda line: named[line[1]], text)


def _filled(text: str, jobs: Jobs, values: dict[str, str], most: int) -> str:
    for name, value in {**values, "id": JOB_ID.pattern}.items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    model = json.dumps(submission_model(jobs), separators=(", ", ": "))
    text = text.replace('"{{ model }}"', model)
    api = text[text.index(API_BEGINS) : text.index(API_ENDS)]
    text = text.replace("{{ hash }}", hashlib.sha256(api.encode()).hexdigest()[:8])
    size = len(text.encode())
    if size > most:
        raise ValueError(f"the template is {size:,} bytes, over CloudFormation's limit of {most:,}")
    return text


def _zip_file(text: str, place: re.Match[str]) -> str:
    """The code in its place, indented as the rest of the file is: hundreds of lines count against the limit."""
    narrow = re.sub("^ +", lambda spaces: spaces[0][: len(spaces[0]) // 2], text, flags=re.M)
    lines = (f"{place[1]} {line}" if line else "" for line in narrow.splitlines())
    return f"{place[1]}ZipFile: |\n" + "\n".join(lines)


def main(target: Path, check: bool) -> None:
    """Write the template of the original system, whose only job is `sleep`, or check that it is up to date."""
    try:
        text = fill((HERE / "template.yaml").read_text(), load(None))
    except ValueError as error:
        sys.exit(f"make template: {error}")
    if not check:
        target.write_text(text)
    elif target.read_text() != text:
        sys.exit(f"{target} is out of date, or was edited by hand: change src/asyncjob/aws and say `make template`")


if __name__ == "__main__":
    main(Path(sys.argv[-1]), check="--check" in sys.argv)
