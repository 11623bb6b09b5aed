"""`make aws-local`: the template that would be deployed, to try on this machine."""

import argparse
import signal
import threading
from pathlib import Path

from tests.aws.double.double import Double


def main() -> None:
    """Serve a template until Ctrl-C or SIGTERM; what the functions log is printed."""
    parser = argparse.ArgumentParser(prog="make aws-local", description=__doc__)
    parser.add_argument("template", type=Path)
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    parameters = dict(parameter.split("=", 1) for parameter in arguments.parameter)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Double(arguments.template.read_text(), parameters, port=arguments.port) as double:
        print(f"template.yaml, as AWS would serve it, on {double.url}", flush=True)
        ended.wait()


main()
