"""Fills template.yaml, the original system: the functions' code, the model, the hash in the deployments' names.

What is deployed is text that can be read and reviewed. This one is committed: `make template` writes it, and `make
check` fails where it is out of date. What `asyncjob build` makes of a user's own functions is durable.py's.
"""

import hashlib
import json
import math
import re
import sys
from functools import partial
from pathlib import Path

from asyncjob.aws.build.inline import inline
from asyncjob.aws.build.lambdas import DEFAULT_PYTHON
from asyncjob.aws.build.model import submission_model
from asyncjob.contract import JOB_ID
from asyncjob.loading import load
from asyncjob.registry import Jobs

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent
RUNTIME = HERE.parent / "runtime"
SPARE_SECONDS = 1.5  # of an invocation, for the outcome
MAX_TEMPLATE_BYTES = 51_200  # what CloudFormation takes without a bucket
MAX_UPLOADED_BYTES = 1_048_576  # and from one
API_BEGINS, API_ENDS = "# ---- The API.", "# ---- The stage."


def fill(source: str, jobs: Jobs) -> str:
    """The inline edition, for these job functions.

    Args:
        source: the text of template.yaml, in which `{{ name }}` marks what is to be filled in.
        jobs: the registry whose signatures the API validates.

    Raises:
        ValueError: it is over the limit of a template that is deployed without a bucket.
    """
    text = source
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
    return _filled(text, jobs, values)


def least_timeout(jobs: Jobs) -> int:
    """Seconds that the processor needs for the longest `timeout` of a function, and to record that it was over."""
    return max(3, *(math.ceil((function.timeout or 0) + SPARE_SECONDS) for function in jobs))


def _filled(text: str, jobs: Jobs, values: dict[str, str]) -> str:
    for name, value in {**values, "id": JOB_ID.pattern}.items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    model = json.dumps(submission_model(jobs), separators=(", ", ": "))
    text = text.replace('"{{ model }}"', model)
    api = text[text.index(API_BEGINS) : text.index(API_ENDS)]
    text = text.replace("{{ hash }}", hashlib.sha256(api.encode()).hexdigest()[:8])
    size = len(text.encode())
    if size > MAX_TEMPLATE_BYTES:
        raise ValueError(f"the template is {size:,} bytes, over CloudFormation's limit of {MAX_TEMPLATE_BYTES:,}")
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
