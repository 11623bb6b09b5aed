"""`python -m asyncjob` is the command `asyncjob`."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the current folder: nothing that lies there is to stand in for a module of the standard library

from asyncjob.cli import app

app()
