"""`python -m asyncjob` is the command `asyncjob`."""

from asyncjob.cli import app

app()
