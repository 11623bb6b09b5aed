"""`make aws-local`: the template that would be deployed, to try on this machine."""

import argparse
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from tests.aws.double.cloudformation import TemplateError
from tests.aws.double.double import Double

say = partial(print, flush=True)


def main() -> None:
    """Serve a template until Ctrl-C or SIGTERM, and print what the functions log."""
    parser = argparse.ArgumentParser(prog="python -m tests.aws.double", description=__doc__)
    parser.add_argument("template", type=Path, help="a CloudFormation template")
    parser.add_argument("--port", type=int, default=8001, help="of the API; 0 for a free one")
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE", help="the template's parameters")
    arguments = parser.parse_intermixed_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        parameters = dict(_parameter(text) for text in arguments.parameters)
        with Double(arguments.template.read_text(), parameters, port=arguments.port, scale=1, on_log=say) as double:
            say(f"template.yaml, as AWS would serve it, on {double.url}")
            if double.api.api_key:
                say(f"x-api-key: {double.api.api_key}")
            say("other services:", *(f"{name}={value}" for name, value in double.tester.items()))
            ended.wait()
    except (TemplateError, OSError, OverflowError, ValueError) as error:
        sys.exit(f"make aws-local: {error}")


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"a parameter is given as NAME=VALUE, not as {text}")
    return name, value


main()
