"""Fills the marked places of template.yaml: the functions' code, the model, the hash in the deployments' names.

What is deployed is text that can be read and reviewed, so it is filled and committed, not built on the way:
`make template` writes it and `make check` fails where it is out of date.
"""

import hashlib
import json
import re
import sys
from functools import partial
from pathlib import Path

from asyncjob.aws.model import submission_model
from asyncjob.registry import Jobs, load

HERE = Path(__file__).parent
MAX_TEMPLATE_BYTES = 51_200  # what CloudFormation takes without a bucket
API_BEGINS, API_ENDS = "# ---- The API.", "# ---- The stage."


def fill(source: str, jobs: Jobs) -> str:
    """The template for these job functions.

    Args:
        source: the text of template.yaml, in which `"{{ name }}"` marks what is to be filled in.
        jobs: the registry whose signatures the API validates.

    Raises:
        ValueError: it is over the limit of a template that is deployed without a bucket.
    """
    text = source
    for name in ("processor", "recorder"):
        text = re.sub(rf'^( *)ZipFile: "{{{{ {name} }}}}"$', partial(_zip_file, code(name)), text, flags=re.M)
    model = json.dumps(submission_model(jobs), separators=(", ", ": "))
    text = text.replace('"{{ model }}"', model)
    api = text[text.index(API_BEGINS) : text.index(API_ENDS)]
    text = text.replace("{{ hash }}", hashlib.sha256(api.encode()).hexdigest()[:8])
    size = len(text.encode())
    if size > MAX_TEMPLATE_BYTES:
        raise ValueError(f"the template is {size:,} bytes, over the limit of {MAX_TEMPLATE_BYTES:,}")
    return text


def code(name: str) -> str:
    """The text of a function's index.py: what it imports from this folder, then its own."""
    text = (HERE / f"{name}.py").read_text()
    imported = re.compile(r"^from asyncjob\.aws\.table import (\([^)]*\)|.*)\n", re.M)
    return (HERE / "table.py").read_text() + "\n\n" + imported.sub("", text)


def _zip_file(text: str, place: re.Match[str]) -> str:
    indent = place[1]  # one more space is enough, and hundreds of lines count against the limit
    lines = (f"{indent} {line}" if line else "" for line in text.rstrip().splitlines())
    return f"{indent}ZipFile: |\n" + "\n".join(lines)


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
