"""Job functions that fork and that start processes; hostile_functions.py registers them."""

import asyncio
import concurrent.futures
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from asyncjob import JobContext


def square(number: int) -> int:
    return number * number


def sleep_long() -> None:
    time.sleep(600)


def _fork(leave: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        leave()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _fork_past_python(leave: Callable[[], None]) -> int:
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        leave()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class InChild(Exception):
    pass


def _raise() -> None:
    raise InChild


def forked_child_exits(status: int) -> int:
    return _fork(lambda: sys.exit(status))


def forked_child_raises() -> int:
    return _fork(_raise)


def forked_child_returns(context: JobContext) -> str:
    child = os.fork()
    if child == 0:
        context.progress(0.9, "from the child")
        return "the child's"
    return f"child left with {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}"


async def forked_child_returns_async() -> str:
    child = os.fork()
    if child == 0:
        return "the child's"
    return f"child left with {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}"


async def forked_child_awaits() -> int:
    child = os.fork()
    if child == 0:
        await asyncio.sleep(0)
        await asyncio.sleep(600)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def forked_past_python() -> int:
    return _fork_past_python(lambda: sys.exit(4))


def terminates(method: str) -> int:
    """Ends a process that sleeps, as soon as it was started."""
    process = multiprocessing.get_context(method).Process(target=sleep_long)  # type: ignore[attr-defined]
    process.start()
    process.terminate()
    process.join()
    return int(process.exitcode)


def pools(method: str) -> list[int]:
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(square, [1, 2, 3])


async def pools_async(method: str) -> int:
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, square, 5)


def sockets_of_a_child() -> list[bool]:
    """Whether a forked and a started process have the worker's socket."""
    socket = os.readlink(f"/proc/self/fd/{sys.argv[1]}")

    def has(child: int) -> bool:
        found = []
        for fd in os.listdir(f"/proc/{child}/fd"):
            with suppress(FileNotFoundError):  # it has just closed that one
                found.append(os.readlink(f"/proc/{child}/fd/{fd}"))
        return socket in found

    reader, writer = os.pipe()
    forked = os.fork()
    if forked == 0:
        os.write(writer, b"x")
        time.sleep(600)
    os.read(reader, 1)
    spawned = os.posix_spawn("/bin/sleep", ["sleep", "600"], {})
    found = [has(forked), has(spawned)]
    for child in (forked, spawned):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return found


def runs_shell(command: str) -> int:
    return subprocess.run(["/bin/sh", "-c", command]).returncode


async def runs_shell_async(command: str) -> int:
    async def nested() -> int:
        process = await asyncio.create_subprocess_shell(command)
        return await process.wait()

    return await asyncio.create_task(nested())


async def starts_process_late(pid_file: str) -> None:
    """A task that it leaves starts the process once the job has ended."""
    ended = asyncio.Event()

    async def start() -> None:
        await ended.wait()
        process = await asyncio.create_subprocess_exec("/bin/sleep", "600")
        Path(pid_file).write_text(f"{process.pid}\n")

    left.append(asyncio.create_task(start()))
    try:
        await asyncio.sleep(600)
    finally:
        ended.set()


left: list["asyncio.Task[None]"] = []


def leaves_daemon() -> int:
    return subprocess.Popen(["/bin/sleep", "600"]).pid


FUNCTIONS: list[Callable[..., Any]] = [
    forked_child_exits,
    forked_child_raises,
    forked_child_returns,
    forked_child_returns_async,
    forked_child_awaits,
    forked_past_python,
    terminates,
    pools,
    pools_async,
    sockets_of_a_child,
    leaves_daemon,
]
OVERDUE: list[Callable[..., Any]] = [runs_shell, runs_shell_async, starts_process_late]  # they get half a second
