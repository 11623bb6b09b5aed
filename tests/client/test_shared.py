"""One client in several processes and event loops: each hears its own answers."""

import subprocess
import sys

from asyncjob.client.connection import Owned
from tests.serving import Server, environment

FORKED = """
import multiprocessing, sys, warnings
from asyncjob import Client

warnings.simplefilter("ignore")  # newer versions of Python say that a fork with threads is dangerous
client = Client(sys.argv[1])
assert client.submit("echo", value="before").result(timeout=60) == "before"  # the connection that the others inherit

def child(number):
    for turn in range(50):
        value = [number, turn]
        heard = client.submit("echo", value=value).result(timeout=60)
        assert heard == value, f"{heard} is not {value}"

processes = [multiprocessing.get_context("fork").Process(target=child, args=(number,)) for number in range(4)]
for process in processes:
    process.start()
child("parent")
for process in processes:
    process.join()
print([process.exitcode for process in processes])
"""

LOOPS = """
import asyncio, sys
from asyncjob import AsyncClient

client = AsyncClient(sys.argv[1])

async def ask(value):
    return await (await client.submit("echo", value=value)).result(timeout=60)

print([asyncio.run(ask(number)) for number in range(3)])
"""


def _run(program: str, server: Server) -> str:
    """What it prints, and says if it fails."""
    command = [sys.executable, "-c", program, server.url]
    ended = subprocess.run(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )
    return ended.stdout


def test_processes_that_are_forked_with_a_client_hear_their_own_answers(served: Server) -> None:
    assert _run(FORKED, served) == "[0, 0, 0, 0]\n"


def test_an_async_client_serves_one_event_loop_after_the_other(served: Server) -> None:
    assert _run(LOOPS, served) == "[0, 1, 2]\n"


def test_what_belongs_to_an_owner_that_is_gone_is_not_kept() -> None:
    made = iter(range(100))
    here, gone = ["a"], {"a", "b"}
    owned = Owned(lambda: next(made), lambda: here[0], gone.__contains__)
    assert [owned(), owned()] == [0, 0]
    for here[0], number in (("b", 1), ("c", 2), ("d", 3), ("c", 2), ("d", 3), ("a", 4)):
        assert owned() == number
