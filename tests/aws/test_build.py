"""`asyncjob build`, as a user says it: what goes into the folder, what never does, and what it says."""

import hashlib
import os
import pty
import re
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from msgspec import Meta

from asyncjob import Jobs
from asyncjob.aws.build.durable import Package, fill_durable
from asyncjob.aws.build.folder import DOCUMENT, runtime_files
from asyncjob.aws.build.summary import summary
from asyncjob.aws.build.template import PACKAGE
from tests.aws.building import ARCHITECTURE
from tests.aws.double.cloudformation import load
from tests.aws.double.double import Double
from tests.aws.user import SOURCE, Build, names, own, refused
from tests.serving import COMMAND


def test_the_folder_has_the_template_and_the_runtime_part_alone(build: Build, mine: Path) -> None:
    done = build()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert sorted(file.name for file in (mine / "build").iterdir()) == ["code.zip", "template.yaml"]
    assert sorted(file.name for file in mine.iterdir() if file.name != "__pycache__") == ["build", "jobs.py"]
    there = names(mine)
    assert {name for name in there if name.startswith("asyncjob/")} == {
        DOCUMENT,
        *(f"asyncjob/{file.relative_to(PACKAGE)}" for file in runtime_files()),
    }
    assert not [
        name
        for name in there
        if "server/" in name or "build/" in name or "cli" in name or name.endswith((".pyc", ".sql"))
    ]
    assert own(mine) == {"jobs.py"}
    function = load((mine / "build" / "template.yaml").read_text())["Resources"]["Processor"]["Properties"]
    assert function["Runtime"] == "python3.13"
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
    expected = {"jobs.py", "near.py", "late.py", "shop/__init__.py", "shop/prices.py", "shop/prices.csv"}
    assert own(mine) == expected
    assert f"your files   {', '.join(sorted(expected))}\n" in done.stdout
    assert "not taken    data.csv, unrelated.py: beside your file; a package is taken whole" in done.stdout


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
    assert "shop/build has other files than a build's, such as old.zip" in refused(done)
    (shop / "build" / "old.zip").unlink()
    for _ in range(2):  # the second time with what the first has left there
        done = build("--out", "shop/build", target="shop.work")
        assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(shop / "build" / "code.zip") as archive:
        found = {name for name in archive.namelist() if not name.startswith(("asyncjob/", "msgspec"))}
    assert found == {"shop/__init__.py", "shop/data/prices.csv", "shop/late.py", "shop/work.py"}
    left_out = (
        "shop/.env, shop/.git, shop/deep/id_rsa, shop/jobs.db, shop/linked.txt (a link that leads out), shop/prod.env, "
        "shop/server.pem, shop/venv"
    )
    assert f"left out     {left_out}\n" in done.stdout


def test_over_lambdas_limit_the_largest_parts_are_listed(build: Build, mine: Path) -> None:
    (mine / "shop").mkdir()
    (mine / "shop" / "__init__.py").write_text(SOURCE)
    with (mine / "shop" / "model.bin").open("wb") as file:
        file.truncate(262_144_000)
    line = refused(build(target="shop"))
    assert "over Lambda's limit of 250.0 MB; most is your files 250.0 MB, msgspec 0." in line
    assert not (mine / "build").exists()


def test_a_module_that_would_not_be_there_is_an_error(build: Build, mine: Path) -> None:
    (mine / "jobs.py").write_text(f"import httpx\n{SOURCE}")
    assert refused(build()).startswith("jobs.py imports httpx, which is neither beside it nor among the wheels")
    (mine / "jobs.py").write_text(f"import boto3\n{SOURCE}\n    import httpx\n")  # boto3 is Lambda's own
    done = build()
    assert done.returncode == 0, done.stderr
    assert "not there    httpx (jobs.py): imported in a function, under a condition, or by" in done.stdout


def test_a_library_that_is_not_installed_here_is_named_with_the_command_that_installs_it(
    build: Build, mine: Path
) -> None:
    (mine / "jobs.py").write_text(f"import nowhere\n{SOURCE}")
    (mine / "needs.txt").write_text("nowhere\n")
    said = refused(build("--requirements", "needs.txt"))
    assert said.startswith("importing jobs.py failed: ModuleNotFoundError: No module named 'nowhere' (")
    assert said.endswith("; the build imports your functions: pip install --requirement needs.txt")
    assert "pip install" not in refused(build())


def test_a_module_that_would_hide_pythons_own_is_an_error(build: Build, mine: Path) -> None:
    (mine / "queue.py").write_text(SOURCE)
    assert "queue.py hides Python's or asyncjob's own module 'queue'" in refused(build(target="queue.py"))


def test_code_that_was_compiled_here_is_an_error(build: Build, mine: Path) -> None:
    (mine / "shop").mkdir()
    (mine / "shop" / "__init__.py").write_text(SOURCE)
    (mine / "shop" / "fast.so").write_text("")
    assert "shop/fast.so is compiled for this machine" in refused(build(target="shop"))


def test_a_timeout_over_lambdas_is_an_error_that_names_the_function(build: Build, mine: Path) -> None:
    assert (
        refused(build("--timeout", "61"))
        == "area has a timeout of 60 seconds; with 1.5 for its outcome, over --timeout 61"
    )
    (mine / "jobs.py").write_text(SOURCE.replace("60", "900.5"))
    assert (
        refused(build()) == "area has a timeout of 900.5 seconds; with 1.5 for its outcome, over Lambda's limit of 900"
    )


@pytest.mark.parametrize(("arguments", "seconds"), [((), 65), (("--timeout", "62"), 62), (("--timeout", "900"), 900)])
def test_without_a_timeout_there_is_time_enough_for_every_function(
    build: Build, mine: Path, arguments: tuple[str, ...], seconds: int
) -> None:
    assert build(*arguments).returncode == 0
    resources = load((mine / "build" / "template.yaml").read_text())["Resources"]
    assert resources["Processor"]["Properties"]["Timeout"] == seconds


def test_only_what_a_build_has_made_is_replaced(build: Build, mine: Path) -> None:
    out = mine / "build"
    out.mkdir()
    (out / "template.yaml").write_text("mine")
    assert "build was not made by this command" in refused(build())
    assert (out / "template.yaml").read_text() == "mine"
    (out / "template.yaml").unlink()
    assert build().returncode == 0
    (out / "packaged.yaml").write_text("by the AWS command line")
    (mine / "jobs.py").write_text(SOURCE.replace("area", "size"))
    assert build().returncode == 0
    assert sorted(file.name for file in out.iterdir()) == ["code.zip", "template.yaml"]
    assert "size" in (out / "template.yaml").read_text()
    (out / "notes.txt").write_text("mine")
    assert "build has other files than a build's, such as notes.txt" in refused(build())
    (mine / "file").write_text("")
    assert "file is a file" in refused(build("--out", "file"))


def test_a_link_stays_a_link(build: Build, mine: Path) -> None:
    (mine / "elsewhere").mkdir()
    (mine / "build").symlink_to("elsewhere")
    for _ in range(2):
        assert build().returncode == 0
    assert (mine / "build").is_symlink()
    assert (mine / "elsewhere" / "code.zip").exists()


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
    methods = [each["Properties"] for each in template.values() if each["Type"].endswith("::Method")]
    served = [each["HttpMethod"] for each in methods if each["Integration"]["Type"] == "AWS"]
    routes = said.split("The API\n")[1].split("\n\n")[0].splitlines()
    assert [route.split()[0] for route in routes] == served
    assert "300,000 bytes" in said
    assert routes[:2] == ["  POST    /jobs", "  GET     /jobs/{jobId}"]
    assert "\n  Authorization = AWS_IAM   Who may call the API. NONE is everybody" in said
    assert "Who may call it\n  whoever signs requests (Client(aws_iam=True), --aws-iam)" in said
    assert "For everybody on the internet, at your cost: deploy with --parameter-overrides Authorization=NONE\n" in said
    next_ = said.split("Next\n")[1].splitlines()
    assert next_ == [
        "  aws cloudformation package --template-file 'my build/template.yaml' --s3-bucket MY-BUCKET "
        "--output-template-file 'my build/packaged.yaml'",
        "  aws cloudformation deploy --template-file 'my build/packaged.yaml' --s3-bucket MY-BUCKET "
        "--stack-name my-jobs --capabilities CAPABILITY_NAMED_IAM",
        "  aws cloudformation describe-stacks --stack-name my-jobs --query 'Stacks[0].Outputs'",
        "  asyncjob check --url THE-ApiEndpoint --aws-iam",
        "  MY-BUCKET is a bucket of yours in the same region, for the code; aws s3 mb s3://MY-BUCKET makes one.",
    ]
    settings = said.split("What deploy may set")[1].split("\n\n")[0].splitlines()[1:-1]
    assert all(re.fullmatch(r"  \w+ = \S+   [A-Z].*\.", line) for line in settings), settings


def test_parameters_are_described_as_they_were_written() -> None:
    jobs = Jobs()

    @jobs.job
    def tagged(tags: list[str] = [], share: Annotated[float, Meta(le=1)] = 0.5) -> None: ...  # noqa: B006

    package = Package(code="c", target="t", runtime="python3.13", architecture="arm64", timeout=30, statements=[])
    said = summary(fill_durable(jobs, package), jobs, Path("build"), reserve=False)
    assert '    "tags": list[str] = []\n    "share": Annotated[float, Meta(le=1)] = 0.5\n' in said


def test_a_package_is_open_to_everybody_only_where_that_is_said_on_purpose(build: Build, mine: Path) -> None:
    assert build("--architecture", ARCHITECTURE).returncode == 0
    text = (mine / "build" / "template.yaml").read_text()
    body = {"jobId": "1", "type": "area", "width": 2}
    with Double(text, bucket=mine / "build") as double:
        routes = [("POST", "/jobs"), ("GET", "/jobs/1"), ("GET", "/jobs/1/large"), ("POST", "/jobs/1/cancel")]
        assert [httpx.request(method, double.url + path, json=body).status_code for method, path in routes] == [403] * 4
        assert double.item("1") is None
    with Double(text, {"Authorization": "NONE"}, bucket=mine / "build") as double:
        assert httpx.post(f"{double.url}/jobs", json=body).status_code == 202
        double.idle()


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
