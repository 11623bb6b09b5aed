"""`asyncjob build` of functions that use more of this package than runs in Lambda: its client, a part of a server."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.aws.building import built, deployed_folder
from tests.aws.user import SOURCE, Build, names, refused, wheel

USES = "import sys; sys.path[:0] = sys.argv[1:]; import jobs; from asyncjob import AsyncClient; jobs.ask"
WAYS = (
    "from asyncjob import Client\n{source}\ndef ask(): return Client()\n",
    "import asyncjob\n{source}\ndef ask(): return asyncjob.Client()\n",
    "{source}\ndef ask():\n    from asyncjob.client import Client\n    return Client()\n",
)


@pytest.mark.parametrize("text", WAYS)
def test_who_uses_the_client_gets_it_and_must_name_its_library(build: Build, mine: Path, text: str) -> None:
    (mine / "jobs.py").write_text(text.format(source=SOURCE))
    assert (
        refused(build())
        == "jobs.py uses asyncjob's client, which needs httpx: name that in the file for --requirements"
    )
    file = wheel(mine / "wheels", "httpx")  # the build looks for its name alone
    (mine / "requirements.txt").write_text("--no-index\nhttpx\n")
    done = build("--requirements", "requirements.txt", PIP_FIND_LINKS=str(file.parent))
    assert done.returncode == 0, done.stderr
    assert "asyncjob/client/blocking.py" in names(mine)
    assert (
        "client       jobs.py uses it, and Client() finds no server on AWS: it needs the API's address" in done.stdout
    )
    _import(mine)


def _import(mine: Path) -> None:
    """Import it with what the zip has of this package, and the libraries of this machine."""
    unpacked = mine / "unpacked"
    with zipfile.ZipFile(mine / "build" / "code.zip") as archive:
        taken = [name for name in archive.namelist() if name.startswith(("asyncjob/", "jobs.py"))]
        archive.extractall(unpacked, taken)
    libraries = mine / "libraries"  # not the folder where they are installed, which leads to the whole package
    libraries.mkdir()
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if "asyncjob" not in each.name and each.suffix != ".pth":
            (libraries / each.name).symlink_to(each)
    command = [sys.executable, "-I", "-S", "-c", USES, str(unpacked), str(libraries)]
    subprocess.run(command, check=True, timeout=100)


CHAIN = """
from asyncjob import Client, JobContext, Jobs

jobs = Jobs()


@jobs.job
def square(number: int) -> int:
    return number**2


@jobs.job
def total(context: JobContext, numbers: list[int], api: str | None = None) -> int:
    with Client(api, aws_iam=True, retries=0) as client:
        parts = [client.submit("square", jobId=f"{context.job_id}.{number}", number=number) for number in numbers]
        return sum(context.wait(part).results for part in parts)
"""
RIGHT = """[{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": {"Fn::Sub":
"arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"}}]"""


@pytest.mark.parametrize("right", [RIGHT, RIGHT.replace("Invoke", "ManageConnections")])
def test_a_job_on_aws_submits_others_with_an_address_a_signature_and_the_right(mine: Path, right: str) -> None:
    (mine / "chain.py").write_text(CHAIN)
    (mine / "requirements.txt").write_text("httpx\n")
    (mine / "policy.json").write_text(right)
    options = ("--requirements", "requirements.txt", "--policy", "policy.json")
    with deployed_folder(built(mine, "chain.py", *options)) as api:
        body = {"type": "total", "numbers": [1, 2, 3]}
        assert api.post(jobId="lost", **body).status_code == 202
        lost = api.job("lost")
        assert lost["error"]["type"] == "ClientError" and "name the API's address" in lost["error"]["message"]
        assert api.post(jobId="sum", api=api.double.url, **body).status_code == 202
        job = api.job("sum")
        if right == RIGHT:
            assert job["results"] == 14
        else:
            assert job["error"] == {
                "type": "Refused",
                "message": "User is not authorized to access this resource (403)",
            }


def test_who_does_not_use_the_client_does_not_get_it(build: Build, mine: Path) -> None:
    done = build()
    assert done.returncode == 0, done.stderr
    assert not any(name.startswith("asyncjob/client/") for name in names(mine))
    assert "Client()" not in done.stdout


@pytest.mark.parametrize(
    ("line", "part"),
    [("from asyncjob import JobsApp", "mounted"), ("from asyncjob.testing import FakeClient", "testing")],
)
def test_what_is_not_there_on_aws_is_an_error_that_says_what_to_do(
    build: Build, mine: Path, line: str, part: str
) -> None:
    (mine / "jobs.py").write_text(f"{line}\n{SOURCE}")
    said = f"jobs.py imports asyncjob.{part}, which is not there on AWS: give the job functions a file of their own"
    said += ", which does not import this one"
    assert refused(build()) == said
    (mine / "jobs.py").write_text(f"{SOURCE}\ndef local():\n    {line}\n")  # nobody calls it on AWS
    done = build()
    assert done.returncode == 0
    assert f"not there    asyncjob.{part} (jobs.py): imported in a function, " in done.stdout


def test_an_application_in_the_package_of_its_job_functions_is_no_hindrance(build: Build, mine: Path) -> None:
    (mine / "shop").mkdir()
    (mine / "shop" / "__init__.py").write_text("")
    (mine / "shop" / "work.py").write_text(SOURCE)
    (mine / "shop" / "main.py").write_text(
        "from asyncjob import Client, JobsApp\nfrom .work import jobs\nJobsApp(jobs)\n"
    )
    done = build(target="shop.work")
    assert done.returncode == 0, done.stderr
    assert "not there    asyncjob.mounted (shop/main.py), httpx (shop/main.py): " in done.stdout
    assert "Client()" not in done.stdout
