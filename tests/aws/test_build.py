"""`asyncjob build`, as a user says it: what goes into the folder, what never does, and what it says."""

import hashlib
import json
import os
import pty
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from asyncjob.aws.lambdas import Architecture, Python
from asyncjob.aws.template import RUNTIME
from tests.aws.double.cloudformation import load
from tests.serving import COMMAND

SOURCE = """
from asyncjob import Jobs

jobs = Jobs()


@jobs.job(timeout=60)
def area(width: int, height: int = 100) -> int:
    return width * height
"""
# An architecture that this machine has not, and what markers call it.
OTHER = next(each for each in Architecture if each.value != os.uname().machine)
MACHINE = {"arm64": "aarch64", "x86_64": "x86_64"}[OTHER]

BACKEND = """
import pathlib, zipfile

def build_wheel(folder, *rest):
    with zipfile.ZipFile(pathlib.Path(folder, "library-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("library-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: library\\nVersion: 1.0\\n")
        wheel.writestr("library-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
    return "library-1.0-py3-none-any.whl"
"""

Build = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with a file of job functions."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "jobs.py").write_text(SOURCE)
    return folder


@pytest.fixture
def build(mine: Path) -> Build:
    """Says `asyncjob build` in that folder."""

    def run(*arguments: str, target: str = "jobs.py", cwd: Path = mine, **env: str) -> subprocess.CompletedProcess[str]:
        command = [str(COMMAND), "build", target, "--out", "build", *arguments]
        return subprocess.run(command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=100)

    return run


def _names(folder: Path) -> set[str]:
    with zipfile.ZipFile(folder / "build" / "code.zip") as archive:
        return set(archive.namelist())


def _own(folder: Path) -> set[str]:
    """What is in the zip of the user's."""
    return {name for name in _names(folder) if not name.startswith(("asyncjob/", "msgspec"))}


def _refused(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """The one line of a refusal, which has left nothing behind."""
    assert done.returncode == status, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("asyncjob: ")
    return line.removeprefix("asyncjob: ")


def _wheel(
    folder: Path, name: str, *requires: str, tag: str = "py3-none-any", files: dict[str, str] | None = None
) -> Path:
    """A wheel, as small as pip takes it."""
    info = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    content = {
        **(files or {f"{name}.py": f"NAME = {name!r}\n"}),
        f"{info}/METADATA": metadata + "".join(f"Requires-Dist: {each}\n" for each in requires),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in content)
    folder.mkdir(exist_ok=True)
    wheel = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    return wheel


def test_the_folder_has_the_template_and_the_runtime_part_alone(build: Build, mine: Path) -> None:
    done = build()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert sorted(file.name for file in (mine / "build").iterdir()) == ["code.zip", "template.yaml"]
    assert sorted(file.name for file in mine.iterdir() if file.name != "__pycache__") == ["build", "jobs.py"]
    names = _names(mine)
    assert {name for name in names if name.startswith("asyncjob/")} == {f"asyncjob/{name}" for name in RUNTIME}
    assert not [name for name in names if "local/" in name or "cli" in name or name.endswith((".pyc", ".sql"))]
    assert _own(mine) == {"jobs.py"}
    function = load((mine / "build" / "template.yaml").read_text())["Resources"]["Processor"]["Properties"]
    assert function["Runtime"] == "python{}.{}".format(*sys.version_info)
    assert function["Architectures"] == ["arm64"]
    assert function["Code"] == "code.zip"


def test_the_same_input_gives_the_same_bytes_elsewhere_and_later(build: Build, mine: Path, tmp_path: Path) -> None:
    digests = []
    (mine / "requirements.txt").write_text("idna==3.10\n")
    for number in range(2):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        for file in ("requirements.txt", "jobs.py"):
            (folder / file).write_bytes((mine / file).read_bytes())
            os.utime(folder / file, (number, number))
        (folder / "jobs.py").chmod(0o644 if number else 0o600)
        assert build("--requirements", "requirements.txt", cwd=folder, TZ=f"UTC+{number}").returncode == 0
        files = [(folder / "build" / name).read_bytes() for name in ("code.zip", "template.yaml")]
        digests.append([hashlib.sha256(content).hexdigest() for content in files])
        time.sleep(2.1 * (1 - number))  # the clock of a zip counts in steps of two seconds
    assert digests[0] == digests[1]


def test_a_file_takes_with_it_what_it_imports_from_beside_it(build: Build, mine: Path) -> None:
    (mine / "jobs.py").write_text(f"import near\n{SOURCE}\n    import late\n")
    (mine / "near.py").write_text("from shop.prices import PRICES\nimport json\n")
    (mine / "late.py").write_text("")
    (mine / "unrelated.py").write_text("")
    (mine / "data.csv").write_text("")
    (mine / ".env").write_text("SECRET=1")
    (mine / "shop").mkdir()
    (mine / "shop" / "__init__.py").write_text("")
    (mine / "shop" / "prices.py").write_text("PRICES = {}\n")
    (mine / "shop" / "prices.csv").write_text("")
    done = build()
    assert done.returncode == 0, done.stderr
    own = {"jobs.py", "near.py", "late.py", "shop/__init__.py", "shop/prices.py", "shop/prices.csv"}
    assert _own(mine) == own
    assert f"your files   {', '.join(sorted(own))}\n" in done.stdout


def test_a_package_goes_whole_but_for_what_is_nobodys_business(build: Build, mine: Path, tmp_path: Path) -> None:
    shop = mine / "shop"
    (mine / "tests").mkdir()
    (mine / "tests" / "test_shop.py").write_text("")
    secrets = (
        ".env",
        "prod.env",
        "server.pem",
        "deep/id_rsa",
        ".git/config",
        "jobs.db",
        "venv/pyvenv.cfg",
        "venv/x.py",
    )
    for name in ("__init__.py", "data/prices.csv", "build/old.zip", "late.py", *secrets):
        (shop / name).parent.mkdir(exist_ok=True, parents=True)
        (shop / name).write_text("")
    (shop / "work.py").write_text(f"from . import late\n{SOURCE}")
    (tmp_path / "outside.txt").write_text("")
    (shop / "linked.txt").symlink_to(tmp_path / "outside.txt")
    done = build("--out", "shop/build", target="shop.work")
    assert "shop/build has other files than a build's, such as old.zip" in _refused(done)
    (shop / "build" / "old.zip").unlink()
    for _ in range(2):  # the second time with what the first has left there
        done = build("--out", "shop/build", target="shop.work")
        assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(shop / "build" / "code.zip") as archive:
        own = {name for name in archive.namelist() if not name.startswith(("asyncjob/", "msgspec"))}
    assert own == {"shop/__init__.py", "shop/data/prices.csv", "shop/late.py", "shop/work.py"}
    left_out = "shop/.env, shop/.git, shop/deep/id_rsa, shop/linked.txt, shop/prod.env, shop/server.pem, shop/venv"
    assert f"left out     {left_out}\n" in done.stdout


def test_a_library_without_a_wheel_is_an_error_that_names_it(build: Build, mine: Path) -> None:
    (mine / "requirements.txt").write_text("docopt==0.6.2\n")
    line = _refused(build("--requirements", "requirements.txt", "--python", "3.13"))
    assert line.startswith("there is no wheel of docopt==0.6.2 for Python 3.13 on arm64, and nothing is compiled here")
    assert not (mine / "build").exists()
    assert not list(mine.glob(".build*"))


def test_sources_are_never_built(build: Build, mine: Path) -> None:
    package = mine / "library"
    package.mkdir()
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (package / "pyproject.toml").write_text(f'{system}[project]\nname = "library"\nversion = "1.0"\n')
    (package / "backend.py").write_text(BACKEND)
    (mine / "requirements.txt").write_text("./library\n")
    line = _refused(build("--requirements", "requirements.txt"))
    assert line.startswith("library is given as its sources: build a wheel for Python ")


def test_what_holds_on_lambda_alone_is_in_the_package(build: Build, mine: Path) -> None:
    """Pip reads environment markers by the machine that it runs on."""
    wheels = mine / "wheels"
    _wheel(wheels, "first", f'second; platform_machine == "{MACHINE}"', 'never; sys_platform == "win32"')
    _wheel(wheels, "second", f'third; platform_machine == "{MACHINE}"')
    _wheel(wheels, "third")
    (mine / "requirements.txt").write_text("--no-index\nfirst\n")
    done = build("--requirements", "requirements.txt", "--architecture", OTHER, PIP_FIND_LINKS=str(wheels))
    assert done.returncode == 0, done.stderr
    assert {"first.py", "second.py", "third.py"} <= _names(mine)
    (mine / "requirements.txt").write_text(f'--no-index\nfirst; platform_machine == "{MACHINE}"\n')
    done = build("--requirements", "requirements.txt", "--architecture", OTHER, PIP_FIND_LINKS=str(wheels))
    assert "pip leaves first out, whose marker holds for" in _refused(done)


def test_wheels_go_in_as_they_would_be_installed(build: Build, mine: Path) -> None:
    files = {
        "lib.py": "",
        "__pycache__/lib.cpython-311.pyc": "",
        "lib-1.0.data/scripts/lib": "",
        "lib-1.0.data/purelib/more.py": "",
    }
    wheel = _wheel(mine / "wheels", "lib", files=files)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (mine / "requirements.txt").write_text(f"--no-index\nlib==1.0 --hash=sha256:{digest}\n")
    done = build("--requirements", "requirements.txt", PIP_FIND_LINKS=str(wheel.parent))
    assert done.returncode == 0, done.stderr
    assert {name for name in _own(mine) if "dist-info" not in name} == {"jobs.py", "lib.py", "more.py"}
    assert "lib-1.0.dist-info/RECORD" in _names(mine)


def test_a_library_that_is_too_old_for_asyncjob_is_an_error(build: Build, mine: Path) -> None:
    (mine / "requirements.txt").write_text("msgspec==0.19.0\n")
    line = _refused(build("--requirements", "requirements.txt", "--python", "3.13"))
    assert line.startswith("requirements.txt asks for msgspec 0.19.0, and asyncjob itself needs msgspec>=")


def test_two_files_of_one_name_are_an_error(build: Build, mine: Path) -> None:
    wheel = _wheel(mine / "wheels", "lib", files={"jobs.py": "another"})
    (mine / "requirements.txt").write_text("--no-index\nlib\n")
    line = _refused(build("--requirements", "requirements.txt", PIP_FIND_LINKS=str(wheel.parent)))
    assert line == "lib 1.0 and your files both have a file jobs.py: only one can be there"


def test_over_lambdas_limit_the_largest_parts_are_listed(build: Build, mine: Path) -> None:
    (mine / "shop").mkdir()
    (mine / "shop" / "__init__.py").write_text(SOURCE)
    with (mine / "shop" / "model.bin").open("wb") as file:
        file.truncate(262_144_000)
    line = _refused(build(target="shop"))
    assert "over Lambda's limit of 250.0 MB; most is your files 250.0 MB, msgspec 0." in line
    assert not (mine / "build").exists()


def test_a_module_that_would_not_be_there_is_an_error(build: Build, mine: Path) -> None:
    (mine / "jobs.py").write_text(f"import httpx\n{SOURCE}")
    assert _refused(build()).startswith("jobs.py imports httpx, which is neither beside it nor among the wheels")
    (mine / "jobs.py").write_text(f"import boto3\n{SOURCE}\n    import httpx\n")  # boto3 is Lambda's own
    done = build()
    assert done.returncode == 0, done.stderr
    assert "not there    httpx (jobs.py): imported in a function or under a condition\n" in done.stdout


def test_a_module_that_would_hide_pythons_own_is_an_error(build: Build, mine: Path) -> None:
    (mine / "queue.py").write_text(SOURCE)
    assert "queue.py hides Python's or asyncjob's own module 'queue'" in _refused(build(target="queue.py"))


def test_code_that_was_compiled_here_is_an_error(build: Build, mine: Path) -> None:
    (mine / "shop").mkdir()
    (mine / "shop" / "__init__.py").write_text(SOURCE)
    (mine / "shop" / "fast.so").write_text("")
    assert "shop/fast.so is compiled for this machine" in _refused(build(target="shop"))


def test_a_timeout_over_lambdas_is_an_error_that_names_the_function(build: Build, mine: Path) -> None:
    assert _refused(build("--timeout", "59")) == "area has a timeout of 60 seconds, over --timeout 59"
    (mine / "jobs.py").write_text(SOURCE.replace("60", "900.5"))
    assert _refused(build()) == "area has a timeout of 900.5 seconds, over Lambda's limit of 900"


@pytest.mark.parametrize(("arguments", "seconds"), [((), 65), (("--timeout", "60"), 60), (("--timeout", "900"), 900)])
def test_without_a_timeout_there_is_time_enough_for_every_function(
    build: Build, mine: Path, arguments: tuple[str, ...], seconds: int
) -> None:
    assert build(*arguments).returncode == 0
    parameters = load((mine / "build" / "template.yaml").read_text())["Parameters"]
    assert parameters["ProcessorTimeout"]["Default"] == seconds


def test_only_what_a_build_has_made_is_replaced(build: Build, mine: Path) -> None:
    out = mine / "build"
    out.mkdir()
    (out / "template.yaml").write_text("mine")
    assert "build was not made by this command" in _refused(build())
    assert (out / "template.yaml").read_text() == "mine"
    (out / "template.yaml").unlink()
    assert build().returncode == 0
    (out / "packaged.yaml").write_text("by the AWS command line")
    (mine / "jobs.py").write_text(SOURCE.replace("area", "size"))
    assert build().returncode == 0
    assert sorted(file.name for file in out.iterdir()) == ["code.zip", "template.yaml"]
    assert "size" in (out / "template.yaml").read_text()
    (out / "notes.txt").write_text("mine")
    assert "build has other files than a build's, such as notes.txt" in _refused(build())
    (mine / "file").write_text("")
    assert "file is a file" in _refused(build("--out", "file"))


def test_a_link_stays_a_link(build: Build, mine: Path) -> None:
    (mine / "elsewhere").mkdir()
    (mine / "build").symlink_to("elsewhere")
    for _ in range(2):
        assert build().returncode == 0
    assert (mine / "build").is_symlink()
    assert (mine / "elsewhere" / "code.zip").exists()


def _statement(**changes: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::pictures/*", **changes}
    return {name: value for name, value in statement.items() if value is not None}


ALLOWED = [
    _statement(),
    _statement(
        Sid="Read", Action=["s3:GetObject", "s3:ListBucket"], Condition={"Bool": {"aws:SecureTransport": "true"}}
    ),
    _statement(Effect="Deny", Resource=[{"Fn::Sub": "arn:aws:s3:::${AWS::StackName}"}, "arn:aws:s3:::b"]),
]


@pytest.mark.parametrize(
    "document", [ALLOWED, {"Version": "2012-10-17", "Statement": ALLOWED}], ids=["list", "document"]
)
def test_a_policy_adds_its_statements_to_the_processors_role_and_to_nothing_else(
    build: Build, mine: Path, document: Any
) -> None:
    (mine / "policy.json").write_text(json.dumps(document))
    assert build().returncode == 0
    without = load((mine / "build" / "template.yaml").read_text())
    done = build("--policy", "policy.json")
    assert done.returncode == 0, done.stderr
    with_it = load((mine / "build" / "template.yaml").read_text())
    policy = with_it["Resources"]["ProcessorRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    assert [policy["Statement"].pop() for _ in ALLOWED] == ALLOWED[::-1]
    assert with_it == without
    assert "    never s3:GetObject   on arn:aws:s3:::${AWS::StackName}, arn:aws:s3:::b\n" in done.stdout
    assert '   on arn:aws:s3:::pictures/*   when {"Bool": {"aws:SecureTransport": "true"}}\n' in done.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON that can be read"),
        ("[]", "has no statement"),
        ('["s3:*"]', "statement 1: an IAM statement is an object"),
        (json.dumps([_statement(), _statement(Effect=None)]), "statement 2: Effect is missing"),
        (json.dumps([_statement(Action=None)]), "statement 1: Action is missing"),
        (json.dumps([_statement(Resource=None)]), "statement 1: Resource is missing"),
        (json.dumps([_statement(NotAction="s3:*")]), "NotAction cannot be there"),
        (json.dumps([_statement(Principal="*")]), "Principal cannot be there"),
        (json.dumps([_statement(Effect="allow")]), "Effect is Allow or Deny, not 'allow'"),
        (json.dumps([_statement(Action="GetObject")]), "'GetObject' is no action"),
        (json.dumps([_statement(Action=[])]), "Action is a text"),
        (json.dumps([_statement(Resource=7)]), "Resource is an ARN"),
    ],
)
def test_a_policy_that_could_not_be_one_is_refused_with_the_place(
    build: Build, mine: Path, content: str, message: str
) -> None:
    (mine / "policy.json").write_text(content)
    line = _refused(build("--policy", "policy.json"))
    assert line.startswith("policy.json")
    assert message in line


def test_it_says_what_the_api_will_look_like_and_what_to_do_next(build: Build, mine: Path) -> None:
    done = build("--out", "my build")
    template = load((mine / "my build" / "template.yaml").read_text())["Resources"]
    said = done.stdout
    assert (
        '  "type": "area" (may be left out)   timeout 60 s, retries 2\n    "width": int\n    "height": int = 100\n'
        in said
    )
    for name, role in template.items():
        if role["Type"] == "AWS::IAM::Role":
            part = said.split(f"  {name}, of ")[1].split("\n  ")[0]
            (policy,) = role["Properties"]["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement.get("Fn::If", [None, statement])[1]["Action"]
                for action in [actions] if isinstance(actions, str) else actions:
                    assert action in said.split(f"  {name}, of ")[1], part
    methods = [each["Properties"]["HttpMethod"] for each in template.values() if each["Type"].endswith("::Method")]
    routes = said.split("The API\n")[1].split("\n\n")[0].splitlines()
    assert [route.split()[0] for route in routes] == methods
    assert routes[:2] == ["  POST    /jobs", "  GET     /jobs/{jobId}"]
    next_ = said.split("Next\n")[1].splitlines()
    assert next_ == [
        "  aws cloudformation package --template-file 'my build/template.yaml' --s3-bucket MY-BUCKET "
        "--output-template-file 'my build/packaged.yaml'",
        "  aws cloudformation deploy --template-file 'my build/packaged.yaml' --stack-name my-jobs "
        "--capabilities CAPABILITY_NAMED_IAM",
    ]


def test_a_terminal_is_told_what_happens(mine: Path) -> None:
    ours, theirs = pty.openpty()
    command = [str(COMMAND), "build", "jobs.py", "--out", "build"]
    with subprocess.Popen(command, cwd=mine, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        try:
            while chunk := os.read(ours, 4_096):
                said += chunk
        except OSError:  # how Linux says that a terminal has no other end any more
            os.close(ours)
    assert process.returncode == 0
    lines = said.decode().splitlines()
    assert lines[0].startswith("Getting wheels for Python ")
    assert any("msgspec" in line for line in lines[1:-1])
    assert lines[-1] == "Packing code.zip"


@pytest.mark.parametrize(
    "arguments", [("--python", "3.10"), ("--architecture", "mips"), ("--timeout", "901"), ("--requirements", "nowhere")]
)
def test_an_option_that_cannot_be_is_refused(build: Build, mine: Path, arguments: tuple[str, str]) -> None:
    done = build(*arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr and "Traceback" not in done.stderr
    assert not (mine / "build").exists()


def test_its_pythons_are_lambdas() -> None:
    shape = boto3.client("lambda", region_name="us-east-1").meta.service_model.shape_for("Runtime")
    versions = [name.removeprefix("python3.") for name in shape.enum if name.startswith("python3.")]
    assert list(Python) == [f"3.{version}" for version in versions if int(version) >= 11]
    assert {each.value for each in Architecture} == set(_architectures())


def _architectures() -> list[str]:
    architectures: list[str] = (
        boto3.client("lambda", region_name="us-east-1").meta.service_model.shape_for("Architecture").enum
    )
    return architectures


@pytest.mark.parametrize("python", list(Python))
@pytest.mark.parametrize("architecture", list(Architecture))
def test_asyncjob_itself_has_wheels_for_every_python_on_lambda(
    build: Build, mine: Path, python: str, architecture: str
) -> None:
    done = build("--python", python, "--architecture", architecture)
    assert done.returncode == 0, done.stderr
    suffix = {"arm64": "aarch64", "x86_64": "x86_64"}[architecture]
    tag = f"cpython-{python.replace('.', '')}-{suffix}-linux-gnu.so"
    assert [name for name in _names(mine) if name.endswith(tag)]
