"""`make aws-localstack`: both editions, deployed to LocalStack by the README's own commands, keep the contract there.

Exits with 0 if the conformance suite finds what it finds on AWS, but for what differences.toml lists.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import FrameType

from tests.aws.localstack.deployment import EDITIONS, Failed, deploy
from tests.aws.localstack.service import ROOT, LocalStack, NotStarted

say = partial(print, flush=True)


def main() -> None:
    """Try the editions one after the other, each in a LocalStack of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.aws.localstack", description=__doc__)
    parser.add_argument("editions", nargs="*", metavar="EDITION", help="inline or durable; both if none is named")
    parser.add_argument("--keep", action="store_true", help="do not test: say where the API is, and wait for Ctrl-C")
    arguments = parser.parse_args()
    unknown = set(arguments.editions) - set(EDITIONS)
    if unknown:
        parser.error(f"there is no edition {unknown.pop()}")
    signal.signal(signal.SIGTERM, _interrupt)
    failed = [edition for edition in arguments.editions or EDITIONS if not _try(edition, arguments.keep)]
    if failed:
        sys.exit(f"make aws-localstack: failed for {' and '.join(failed)}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _try(edition: str, keep: bool) -> bool:
    folder = Path(tempfile.mkdtemp(prefix=f"asyncjob-localstack-{edition}-"))
    say(f"The {edition} edition; logs in {folder}")
    try:
        with LocalStack(folder) as localstack:
            url = deploy(edition, localstack, say)
            passed = _wait(localstack, url) if keep else _passes(edition, localstack, url)
    except KeyboardInterrupt:
        sys.exit(130)
    except (NotStarted, Failed) as error:
        say(f"make aws-localstack: {error}")
        return False
    if passed:
        shutil.rmtree(folder)
    return passed


def _wait(localstack: LocalStack, url: str) -> bool:
    say(f"{url}\nother services:", *(f"{name}={value}" for name, value in localstack.client.items()))
    localstack.wait()
    return True


def _passes(edition: str, localstack: LocalStack, url: str) -> bool:
    suite = [sys.executable, "-m", "pytest", "tests/conformance", "-q", "-p", "no:cacheprovider", "--base-url", url]
    suite += ["-p", "tests.aws.localstack.differences", "--differences", edition, *EDITIONS[edition]]
    located = {"CONFORMANCE_LOCATED": f"{localstack.url}/{url.rpartition('/')[2]}"}  # AWS has nothing before the stage
    return subprocess.run(suite, cwd=ROOT, env={**os.environ, **localstack.client, **located}).returncode == 0


main()
