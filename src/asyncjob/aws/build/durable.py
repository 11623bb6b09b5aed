"""Fills durable.yaml, the template that `asyncjob build` makes of a user's own functions.

There, `#{{ define NAME` ... `#}}` gives lines a name, and a line `#{{ NAME key="value" }}` becomes those lines, with
`{{ key }}` replaced. The mapping templates are the files in durable/, where such a line names another file. What they
say of the job functions, and of how a status changes, is made here: from the registry, and from the one table of
transitions.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import starmap
from typing import Any

import msgspec

from asyncjob.aws.build.forms import durable_model, forms
from asyncjob.aws.build.planned import Planned
from asyncjob.aws.build.policy import Statement
from asyncjob.aws.build.rules import rules
from asyncjob.aws.build.template import HERE, least_timeout
from asyncjob.aws.runtime.durable_dispatcher import own_suffix
from asyncjob.aws.runtime.durable_job import DISPATCH_MS, NEVER_MS, SHELVES
from asyncjob.contract import MAX_BODY_BYTES
from asyncjob.durations import MAX_SECONDS, RULE
from asyncjob.job import FINAL, TRANSITIONS, Status
from asyncjob.policies import Backoff, Pauses
from asyncjob.registry import JobFunction, Jobs

SOURCE, PLANNED = HERE / "durable.yaml", HERE / "schedules.yaml"
TEMPLATES = HERE / "durable"
MAX_UPLOADED_BYTES = 1_048_576  # of a template, what CloudFormation takes from a bucket
MAX_PARAMETERS_BYTES = 300_000
"""Of all parameters as JSON, a character beyond ASCII counted as three: the rest of an item is the outcome's."""
TOO_LARGE = "(?s).*[0-9.][eE][+]?0*(309|3[1-9][0-9]|[4-9][0-9]{2}|[1-9][0-9]{3,})([^0-9].*)?"
"""What a JSON text looks like that has a number beyond every float, of which `$input.json` may make a null."""
OPTIONS = ("delay", "runAt", "startBy")
"""Those of a submission that this edition keeps."""
OVERHEAD_SECONDS = 3.0  # of an attempt: its claim, its outcome, and the end of a function that does not notice the end

API_BEGINS, API_ENDS = "# ---- The API.", "# ---- The stage."
DEFINED = re.compile(r"^ *#\{\{ define (\w+)\n(.*?)^ *#\}\}\n", re.M | re.S)
USED = re.compile(r'^( *)#\{\{ (\w+)((?: \w+="[^"]*")*) \}\}\n', re.M)
FILE = re.compile(r'^( *)(.*?)\{\{ vtl (\w+)((?: \w+="[^"]*")*) \}\}\n', re.M)
DEPLOYED = re.compile(r"^  (\w+):\n    Type: AWS::ApiGateway::(?:Method|GatewayResponse)\n(?!    Condition)", re.M)
ARGUMENT = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, kw_only=True)
class Package:
    """What the build decides.

    Attributes:
        code: where the zip is, relative to the template; `aws cloudformation package` puts its bucket in the place.
        target: what imports the registry in the zip, as `loading.load` takes it: `module` or `module:name`.
        runtime: of Lambda, such as `python3.13`.
        architecture: of Lambda, `arm64` or `x86_64`.
        timeout: seconds that one attempt may last where its function says no less.
        statements: of IAM, further ones for the role of the processor.
        reserve: whether each function with a limit for all its jobs gets a processor of its own, so many reserved.
    """

    code: str
    target: str
    runtime: str
    architecture: str
    timeout: int
    statements: list[Statement]
    reserve: bool = False


def fill_durable(jobs: Jobs, package: Package) -> str:
    """The durable edition, whose functions run the code in a zip.

    Args:
        jobs: the registry that the zip holds.
        package: what the build decides.

    Raises:
        ValueError: it is over the limit of a template that is deployed from a bucket, or a schedule cannot be kept.
    """
    planned = Planned(jobs, {function.name: facts(function) for function in jobs}, datetime.now(UTC))
    own = reserved(jobs) if package.reserve else {}
    source = SOURCE.read_text().replace("  # {{ planned }}\n", f"{PLANNED.read_text()}\n" if planned else "")
    source = source.replace("  # {{ own }}\n", "".join(starmap(_own_processor, own.items())))
    source = source.replace(
        "  # {{ own alarms }}\n", "".join(f'  #{{{{ failing name="{_own(name)}" }}}}\n' for name in own)
    )
    text = _expanded(DEFINED.sub("", source), dict(DEFINED.findall(source)))
    text = FILE.sub(lambda place: _indented(place, jobs), text)
    values = {
        "code": json.dumps(package.code),
        "target": package.target,
        "runtime": package.runtime,
        "architecture": package.architecture,
        "timeout": str(max(package.timeout, least_timeout(jobs))),
        "methods": ", ".join(DEPLOYED.findall(text)),
        "preflights": " ".join(f"${{{name}}}" for name in re.findall(r"^  (\w+Preflight):", text, re.M)),
        "target retry": TRANSITIONS["retry"].target.value,
        "planner actions": planned.actions,
        "own types": ",".join(own),
        "processors": f"[{', '.join(f'!GetAtt {name}.Arn' for name in ('Processor', *map(_own, own)))}]",
        "processor names": ", ".join(("Processor", *map(_own, own))),
    }
    text = _replaced(text, values)
    line = re.compile(r"^( *)- \{\{ statements \}\}\n", re.M)
    text = line.sub(lambda place: "".join(f"{place[1]}- {json.dumps(each)}\n" for each in package.statements), text)
    text = text.replace('"{{ model }}"', json.dumps(durable_model(jobs), separators=(", ", ": ")))
    api = text[text.index(API_BEGINS) : text.index(API_ENDS)]
    text = text.replace("{{ hash }}", hashlib.sha256(api.encode()).hexdigest()[:8])
    text = text.replace("  {{ schedules }}\n", planned.resources)  # last: users' texts are in it
    size = len(text.encode())
    if size > MAX_UPLOADED_BYTES:
        raise ValueError(f"the template is {size:,} bytes, over CloudFormation's limit of {MAX_UPLOADED_BYTES:,}")
    return text


def reserved(jobs: Jobs) -> dict[str, int]:
    """The functions with a limit for all their jobs together, and how many may run at once."""
    limits = {function.name: function.limits.concurrency for function in jobs}
    return {name: limit.count for name, limit in limits.items() if limit is not None}


def _own(name: str) -> str:
    """The logical id of a function's own processor."""
    return f"Processor{own_suffix(name)}"


def _own_processor(name: str, count: int) -> str:
    at = f'function_name="!Sub ${{ProcessorName}}-{own_suffix(name)}" reserved="{count}"'
    return (
        f'  #{{{{ processor name="{_own(name)}" {at} description="Runs jobs of {name}, at most {count} at once" }}}}\n'
    )


def mapping_template(name: str, jobs: Jobs, **arguments: str) -> str:
    """One of the mapping templates, filled.

    Args:
        name: of its file, such as `post_request`.
        jobs: the registry whose jobs it is about.
        arguments: what the file leaves to its place in the template.
    """
    files = {file.stem: file.read_text() for file in TEMPLATES.glob("*.vtl")}
    text = _expanded(_replaced(files[name], arguments), files)
    for generated, lines in (("types", _types(jobs)), ("texts", _texts(jobs)), ("rules", _rules(jobs))):
        text = text.replace(f"{{{{ {generated} }}}}\n", lines)
    values = {
        "most body": str(MAX_BODY_BYTES),
        "most parameters": str(MAX_PARAMETERS_BYTES),
        "too large": TOO_LARGE,
        "never": str(NEVER_MS),
        "dispatch": str(DISPATCH_MS),
        "shelves": str(SHELVES),
        "default type": jobs.names[0] if len(jobs) == 1 else ".",
        "known types": ", ".join(jobs.names),
        "known options": ", ".join(OPTIONS),
        "delay rule": RULE.replace('"', "'"),
        "longest delay": str(MAX_SECONDS * 1_000),
    }
    for each in ("cancel", "retry"):
        values[f"target {each}"] = TRANSITIONS[each].target.value
    for each, sources in (*((name, TRANSITIONS[name].sources) for name in ("cancel", "retry")), ("delete", FINAL)):
        allowed = [status.value for status in Status if status in sources]
        values[f"guard {each}"] = ", ".join(f":{status.lower()}" for status in allowed)
        values[f"values {each}"] = ", ".join(f'":{status.lower()}": {{"S": "{status}"}}' for status in allowed)
    return _replaced(text, values)


def _expanded(text: str, named: dict[str, str]) -> str:
    while USED.search(text):
        text = USED.sub(lambda use: _replaced(named[use[2]], dict(ARGUMENT.findall(use[3]))), text)
    return text


def _indented(place: re.Match[str], jobs: Jobs) -> str:
    indent, before, name, arguments = place.groups()
    template = mapping_template(name, jobs, **dict(ARGUMENT.findall(arguments)))
    lines = "".join(f"{indent}  {line}\n" for line in template.splitlines())
    return f"{indent}{before}|-\n{lines}"


def _replaced(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    return text


def _types(jobs: Jobs) -> str:
    """What a submission is held against, by its type."""
    lines = []
    for number, (function, known) in enumerate(zip(jobs, forms(jobs), strict=True)):
        lines += [f'#{"if" if number == 0 else "elseif"}($type == "{function.name}")', *_type(function, known, number)]
    return "\n".join([*lines, '#elseif($refused == "")', '#set($refused = "type")', "#end", ""])


def facts(function: JobFunction) -> dict[str, Any]:
    """What the item of a job says of its function."""
    said: dict[str, Any] = {"retries": function.retries}
    if function.timeout is not None:
        said["lasts"] = math.ceil((function.timeout + OVERHEAD_SECONDS) * 1_000)
    if function.backoff is not None:
        said["pauses"] = _pauses(function.backoff)
    return said


def _type(function: JobFunction, known: dict[str, str], number: int) -> list[str]:
    fields = msgspec.structs.fields(function.parameters)
    lines = [
        f"#set(${name} = {value if isinstance(value, int) else _quoted(value)})"
        for name, value in facts(function).items()
    ]
    if fields:
        lines.append(f"#set($names = {_list(field.name for field in fields)})")
    if needed := [field.name for field in fields if field.required]:
        lines.append(f"#set($needed = {_list(needed)})")
    if known:
        entries = ", ".join(f"\"{name}\": '{form}'" for name, form in known.items())
        lines += [f'#set($number = "{number}")', f"#set($forms = {{{entries}}})"]
    return lines


def _rules(jobs: Jobs) -> str:
    """What each parameter must be, by the number of its function and its own name: a refusal says these two."""
    said = ((f"{number}_{name}", rule) for number, known in enumerate(rules(jobs)) for name, rule in known.items())
    return "".join(f'#if($field == "{field}")\n#set($rule = "{rule}")\n#end\n' for field, rule in said)


def _quoted(text: str) -> str:
    return f'"{text}"'


def _pauses(backoff: Backoff) -> str:
    """A backoff as `durable_job.pause_ms` reads it."""
    if isinstance(backoff, Pauses):
        return json.dumps(backoff.seconds)
    return json.dumps([[backoff.first, backoff.factor, backoff.most, backoff.jitter]])


def _list(names: Iterable[str]) -> str:
    return json.dumps([*names], ensure_ascii=False)


def _texts(jobs: Jobs) -> str:
    """The JSON text of the parameter that the loop is at; each path is written out, since no path is put together."""
    names = sorted({name for function in jobs for name in function.parameters.__struct_fields__})
    return "".join(f'#if($name == "{name}")\n#set($text = "$input.json(\'{_path(name)}\')")\n#end\n' for name in names)


def _path(name: str) -> str:
    return f"$.{name}" if re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) else f"$['{name}']"
