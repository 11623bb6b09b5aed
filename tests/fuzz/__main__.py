"""Fuzzes one target for so long: `python -m tests.fuzz notify --seconds 600`, in an environment that has atheris.

It begins with the corpus that is kept beside this file. An input that does harm is written there, so that
`test_corpus.py` fails by it until it does none.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["asyncjob", "tests.fuzz", "ipaddress", "urllib"]):
    from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    """Run until the time is over, or an input does harm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=600)
    given = parser.parse_args()
    kept = CORPUS / given.target
    with tempfile.TemporaryDirectory() as found:  # inputs that reach further: many, of use to this run alone
        options = [f"-max_total_time={given.seconds}", "-max_len=4096", f"-artifact_prefix={kept}/", "-timeout=10"]
        atheris.Setup([sys.argv[0], found, str(kept), *options], TARGETS[given.target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
