"""Where the API under test is, and what its engine declares that it can do."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import hypothesis
import pytest

from asyncjob.client.signing import AwsAuth
from tests.aws.double.interpreter import said
from tests.serving import Server

CONTRACT = Path(__file__).parent.parent / "docs" / "contract.md"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--base-url", help="test the API that is served there, instead of starting a local server")
    parser.addoption("--api-key", help="sent as x-api-key")
    parser.addoption("--aws-iam", action="store_true", help="sign requests with the AWS credentials of the environment")
    parser.addoption("--capabilities", default="local", help="whose column of the table in docs/contract.md to ask")


def declared_capabilities(engine: str) -> set[str]:
    """The capabilities that the table in docs/contract.md declares for an engine."""
    table = CONTRACT.read_text().split("## Capabilities")[1]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]
    column = rows[0].index(engine)
    return {row[0].strip("`") for row in rows[2:] if row[column] == "yes"}


def pytest_report_header() -> str:
    return said()


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.register_profile("unhurried", hypothesis.settings(), deadline=None)  # the machine may be busy
    hypothesis.settings.load_profile("unhurried")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what starts tests in the background has it ignored
    config.addinivalue_line("markers", "needs(capability): deselected where the engine does not declare it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    declared = declared_capabilities(config.getoption("--capabilities"))
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        needed = {marker.args[0] for marker in item.iter_markers("needs")}
        (kept if needed <= declared else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.fixture(scope="session")
def base_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = request.config.getoption("--base-url")
    if given:
        yield given
        return
    with Server(tmp_path_factory.mktemp("conformance") / "jobs.db") as server:
        yield server.url


@pytest.fixture(scope="session")
def capabilities(request: pytest.FixtureRequest) -> set[str]:
    return declared_capabilities(request.config.getoption("--capabilities"))


@pytest.fixture(scope="session")
def connect(request: pytest.FixtureRequest, base_url: str) -> Callable[[], httpx.Client]:
    """Makes a further client of the API."""
    key = request.config.getoption("--api-key")
    headers = {} if key is None else {"x-api-key": key}
    auth = AwsAuth(httpx.URL(base_url)) if request.config.getoption("--aws-iam") else None
    context = httpx.create_ssl_context()  # once: it reads the certificates of all authorities
    return lambda: httpx.Client(base_url=base_url, headers=headers, auth=auth, timeout=40, verify=context)


@pytest.fixture
def api(connect: Callable[[], httpx.Client]) -> Iterator[httpx.Client]:
    with connect() as client:
        yield client
