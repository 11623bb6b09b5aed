"""`make aws-local`: the template that would be deployed, to try on this machine."""

import argparse
import errno
import platform
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from tests.aws.double.cloudformation import TemplateError, load
from tests.aws.double.double import Double
from tests.aws.double.interpreter import INTERPRETER

say = partial(print, flush=True)


def main() -> None:
    """Serve a template until Ctrl-C or SIGTERM, and print what the functions log."""
    parser = argparse.ArgumentParser(prog="python -m tests.aws.double", description=__doc__)
    parser.add_argument("template", type=Path, help="a CloudFormation template; its code.zip is beside it")
    parser.add_argument("--port", type=int, default=8001, help="of the API; 0 for a free one")
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE", help="the template's parameters")
    arguments = parser.parse_intermixed_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        parameters = dict(_parameter(text) for text in arguments.parameters)
        text, folder = arguments.template.read_text(), arguments.template.resolve().parent
        bucket = folder if (folder / "code.zip").exists() else Path()
        if bucket != Path():
            _check_platform(text)
        with Double(text, parameters, port=arguments.port, scale=1, bucket=bucket, on_log=say) as double:
            say(f"{arguments.template}, as AWS would serve it, on {double.url}")
            if double.api.api_key:
                say(f"x-api-key: {double.api.api_key}")
            say("other services:", *(f"{name}={value}" for name, value in double.tester.items()))
            ended.wait()
    except OSError as error:
        taken = f"port {arguments.port} is taken: say make aws-local AWS_LOCAL_PORT=8002, or another"
        sys.exit(f"make aws-local: {taken if error.errno == errno.EADDRINUSE else error}")
    except (TemplateError, OverflowError, ValueError) as error:
        sys.exit(f"make aws-local: {error}")


def _check_platform(text: str) -> None:
    """Refuse a zip whose libraries this machine cannot run."""
    here = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    for resource in load(text)["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            function = resource["Properties"]
            built = (*function["Architectures"], function["Runtime"].removeprefix("python"))
            if built != (here, INTERPRETER.version):
                raise ValueError(
                    f"the functions are built for {built[0]} and Python {built[1]}: to run them here, say "
                    f"asyncjob build --architecture {here} --python {INTERPRETER.version}"
                )


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"a parameter is given as NAME=VALUE, not as {text}")
    return name, value


main()
