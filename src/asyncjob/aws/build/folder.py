"""`asyncjob build`: a folder with the template and the code, for `aws cloudformation package` and `deploy`.

The folder is written beside its final place and then renamed, so it appears whole or not at all. An existing folder is
replaced only if this command made it.
"""

import ast
import math
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import msgspec

from asyncjob.aws.build.archive import BuildError, Part, megabytes, part, write_zip
from asyncjob.aws.build.description import description
from asyncjob.aws.build.durable import Package, fill_durable
from asyncjob.aws.build.lambdas import DEFAULT_PYTHON, MAX_TIMEOUT, Architecture, Python, refusal
from asyncjob.aws.build.policy import load_statements
from asyncjob.aws.build.sources import Sources, find_sources
from asyncjob.aws.build.summary import summary
from asyncjob.aws.build.template import PACKAGE, RUNTIME, SPARE_SECONDS
from asyncjob.aws.build.wheels import Wheels
from asyncjob.loading import load, unmoved
from asyncjob.registry import Jobs

TEMPLATE, CODE, PACKAGED = "template.yaml", "code.zip", "packaged.yaml"
DOCUMENT = "asyncjob/aws/runtime/openapi.json"
LATER = ("loop", "sleep")  # of the core's modules, those that Lambda imports when it needs them
MARKS = {"asyncjob/aws/runtime/__init__.py", "asyncjob/aws/processor.py"}  # the second of earlier versions
PYTHONS_OWN = sys.stdlib_module_names - {"test"}  # some wheels contain a `test` by mistake; nobody imports it
LAMBDAS_OWN = {"boto3", "botocore"}
CLIENT, CLIENTS_LIBRARY = "client", "httpx"
ADDRESSED = (
    'Client() finds no server on AWS: it needs the API\'s address, Client("https://...", aws_iam=True), and a --policy '
    "that allows execute-api:Invoke"
)
LEAST_TIMEOUT = 30
SHOWN = 20  # names of files in a list
MARGIN = 5  # seconds beyond the longest timeout of a function, to record it


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to build for, and with what.

    Attributes:
        requirements: pip's file of the libraries that the functions need, or None.
        architecture: of the Lambda functions.
        python: their version of Python.
        timeout: seconds that one attempt may last; None for enough for each function's own timeout.
        policy: a JSON file of further IAM statements for the functions, or None.
        include: files to take although they would be left out, by their names in the zip.
        reserve: whether each function with a limit for all its jobs gets a Lambda function of its own.
    """

    requirements: Path | None = None
    architecture: Architecture = Architecture.ARM64
    python: Python = DEFAULT_PYTHON
    timeout: int | None = None
    policy: Path | None = None
    include: Sequence[str] = ()
    reserve: bool = False


def build(target: str, out: Path, plan: Plan, say: Callable[[str], None]) -> str:
    """Build the folder, and tell what is in it.

    Args:
        target: the job functions, as `loading.load` takes it.
        out: the folder: a new one, an empty one, or an earlier build.
        plan: what to build for.
        say: is told what happens, line by line.

    Returns:
        What the user should know about it.

    Raises:
        RegistrationError: the target cannot be imported, or is no registry.
        BuildError: anything else went wrong; nothing was written.
    """
    if said := refusal(plan.python, date.today()):
        raise BuildError(said)
    with unmoved():
        jobs = load(target)
    _check_out(out)
    statements = [] if plan.policy is None else load_statements(plan.policy)
    try:
        sources = find_sources(target, out, plan.include)
        package = Package(
            code=CODE,
            target=sources.target,
            runtime=f"python{plan.python}",
            architecture=plan.architecture,
            timeout=_timeout(jobs, plan.timeout),
            statements=statements,
            reserve=plan.reserve,
        )
        template = fill_durable(jobs, package)
        contents = _make(out, template, jobs, sources, plan, say)
    except OSError as error:
        raise BuildError(f"cannot make {out}: {error.strerror}: {error.filename}") from None
    except ValueError as error:
        raise BuildError(str(error)) from None
    head = f"{out}: {TEMPLATE} and {CODE}, for Python {plan.python} on {plan.architecture}"
    return "\n".join([head, *contents, "", summary(template, jobs, out, reserve=plan.reserve)])


def _make(out: Path, template: str, jobs: Jobs, sources: Sources, plan: Plan, say: Callable[[str], None]) -> list[str]:
    """Make the folder beside its place, then move it there. Returns what to say about its contents."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside:
        wheels = Wheels(Path(beside, "wheels"), plan.python, plan.architecture, say)
        wheels.download(plan.requirements)
        new = Path(beside, "new")
        new.mkdir()
        (new / TEMPLATE).write_text(template)
        say(f"Packing {CODE}")
        contents = _pack(new / CODE, jobs, sources, list(wheels.parts()))
        _replace(out, new, Path(beside, "old"))
    return contents


def _timeout(jobs: Jobs, timeout: int | None) -> int:
    longest = max(jobs, key=lambda function: function.timeout or 0)
    needed = longest.timeout or 0
    allowed = MAX_TIMEOUT if timeout is None else timeout
    if needed + SPARE_SECONDS > allowed:
        limit = "Lambda's limit of 900" if timeout is None or needed > MAX_TIMEOUT else f"--timeout {timeout}"
        raise BuildError(
            f"{longest.name} has a timeout of {needed:g} seconds; with {SPARE_SECONDS:g} for its outcome, over {limit}"
        )
    return timeout or min(MAX_TIMEOUT, max(LEAST_TIMEOUT, math.ceil(needed) + MARGIN))


def runtime_files(*, client: bool = False) -> list[Path]:
    """The files of this package that the zip holds: what runs in Lambda, and what that needs of the core.

    Args:
        client: whether the functions use it.
    """
    files = [PACKAGE / "__init__.py", PACKAGE / "aws" / "__init__.py", *sorted(RUNTIME.glob("*.py"))]
    files += [PACKAGE / f"{name}.py" for name in LATER]
    files += sorted((PACKAGE / "client").glob("*.py")) if client else []
    for file in files:  # it grows meanwhile
        files += [each for each in _imported(file) if each not in files]
    return files


def _imported(file: Path) -> Iterator[Path]:
    """The modules of the core that a file imports when it is imported itself."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
            files = [PACKAGE.parent / f"{name.replace('.', '/')}.py" for name in names if name.startswith("asyncjob.")]
            yield from (each for each in files if each.exists())


def runtime_parts(jobs: Jobs, *, client: bool = False) -> list[Part]:
    """What the zip holds of this package, and the OpenAPI document of these job functions."""
    taken = runtime_files(client=client)
    files = [part(f"asyncjob/{file.relative_to(PACKAGE).as_posix()}", file, "asyncjob") for file in taken]
    document = msgspec.json.encode(description(jobs))
    return [*files, Part(DOCUMENT, "asyncjob", len(document), executable=False, read=lambda: document)]


def _check_imports(sources: Sources, parts: list[Part]) -> dict[str, str]:
    """Refuse what cannot be imported on Lambda. Returns what may be missing there, and the file that imports it."""
    there = {each.name.partition("/")[0].partition(".")[0] for each in parts} | LAMBDAS_OWN | sys.stdlib_module_names
    ours = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in runtime_files(client=True)}
    for name, file in sources.own_needed.items():
        if name not in ours:
            raise BuildError(
                f"{file} imports asyncjob.{name}, which is not there on AWS: give the job functions a file of "
                "their own, which does not import this one"
            )
    if CLIENT in sources.own and CLIENTS_LIBRARY not in there:
        raise BuildError(
            f"{sources.own[CLIENT]} uses asyncjob's client, which needs {CLIENTS_LIBRARY}: name that in the file for "
            "--requirements"
        )
    for name, file in sources.needed.items():
        if name not in there:
            raise BuildError(
                f"{file} imports {name}, which is neither beside it nor among the wheels: name the library that has it "
                "in the file for --requirements"
            )
    named = sources.own_elsewhere | sources.own
    absent = {f"asyncjob.{name}": file for name, file in named.items() if name not in ours}
    if CLIENT in named and CLIENTS_LIBRARY not in there:
        absent[CLIENTS_LIBRARY] = named[CLIENT]
    return absent | {name: file for name, file in sources.wanted.items() if name not in there}


def _check_libraries(libraries: list[Part], sources: Sources) -> None:
    """Refuse a library that would replace modules of something else: on Lambda, what is in the zip comes first.

    A package and a module of the same name do that without sharing a file.
    """
    own = {_module(each.name): each for each in sources.parts}
    for each in libraries:
        module = _module(each.name)
        other = own.get(module)
        if (
            module in PYTHONS_OWN
            or module == "asyncjob"
            or (module == "msgspec" and not each.origin.startswith("msgspec "))
        ):
            raise BuildError(
                f"{each.origin} has {each.name}, in the place of Python's or asyncjob's own module {module!r}"
            )
        if other is not None and ("/" in other.name) != ("/" in each.name):
            raise BuildError(f"{each.origin} has {each.name}, which hides your {other.name}: give that another name")


def _module(name: str) -> str:
    """The top-level module that a file is, or is in."""
    return name.partition("/")[0].partition(".")[0] if "/" not in name else name.partition("/")[0]


def _pack(code: Path, jobs: Jobs, sources: Sources, libraries: list[Part]) -> list[str]:
    """Write the zip. Returns what to say about it."""
    optional = _check_imports(sources, libraries)
    _check_libraries(libraries, sources)
    size = write_zip(
        code, [*runtime_parts(jobs, client=CLIENT in sources.own_elsewhere | sources.own), *libraries, *sources.parts]
    )
    lines = [
        f"  size         {megabytes(code.stat().st_size)}, unpacked {megabytes(size)}",
        f"  your files   {', '.join(sorted(each.name for each in sources.parts))}",
        f"  libraries    {', '.join(sorted({each.origin for each in libraries}))}",
    ]
    if CLIENT in sources.own:
        lines.append(f"  client       {sources.own[CLIENT]} uses it, and {ADDRESSED}")
    if sources.left_out:
        why = sorted(sources.left_out.items())
        lines.append(f"  left out     {_listed([name + f' ({reason})' * (reason != '') for name, reason in why])}")
    if sources.beside:
        lines.append(
            f"  not taken    {_listed(sources.beside)}: beside your file; a package is taken whole, with its data"
        )
    if optional:
        missing = ", ".join(f"{name} ({file})" for name, file in sorted(optional.items()))
        lines.append(
            f"  not there    {missing}: imported in a function, under a condition, or by a file that your functions do "
            "not import"
        )
    return lines


def _listed(names: Sequence[str]) -> str:
    """The first of the names and how many there are, on one line whatever a name contains."""
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    shown = ", ".join(names[:SHOWN]) + more
    return "".join(letter if letter.isprintable() else "?" for letter in shown)


def _check_out(out: Path) -> None:
    """Refuse to replace anything that this command did not make."""
    if not out.exists():
        return
    if not out.is_dir():
        raise BuildError(f"{out} is a file: name another folder with --out")
    names = {file.name for file in out.iterdir()}
    others = sorted(names - {TEMPLATE, CODE, PACKAGED})
    if others:
        raise BuildError(f"{out} has other files than a build's, such as {others[0]}: name another folder with --out")
    if names and not _is_built(out / CODE):
        raise BuildError(f"{out} was not made by this command: name another folder with --out")


def _is_built(code: Path) -> bool:
    try:
        with zipfile.ZipFile(code) as archive:
            return not MARKS.isdisjoint(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _replace(out: Path, new: Path, old: Path) -> None:
    place = out.resolve()  # a link stays; what it leads to is replaced
    if place.exists():
        place.rename(old)
    try:
        new.rename(place)
    except OSError:
        if old.exists():
            old.rename(place)
        raise
