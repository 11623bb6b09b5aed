"""One server from start to stop: it puts the engine, its store and HTTP together, and a stop loses nothing."""

import asyncio
import logging
import os
import resource
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from types import FrameType, MappingProxyType
from typing import NoReturn

import uvloop

from asyncjob import life, streams
from asyncjob.loading import absolute, load, unmoved
from asyncjob.registry import Jobs
from asyncjob.server import logs
from asyncjob.server.engine import Engine
from asyncjob.server.http.access import Access
from asyncjob.server.http.application import Application
from asyncjob.server.http.lane import Lane
from asyncjob.server.http.listener import HttpServer, config
from asyncjob.server.logs import log
from asyncjob.server.settings import Settings, SettingsError
from asyncjob.store import Store, Unusable

BACKLOG = 2_048  # connections that may wait to be accepted
MAX_FILES = 65_536  # open at once, connections included; idle clients soon reach a shell's usual limit of 1,024

MIN_FILES = 64  # for the server itself, its database and a few connections
WORKER_FILES = 4  # that one more worker needs
NO_THREAD = "can't start new thread"  # as Python says it, with a RuntimeError

ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # by what name they are reached from here


class AddressError(Exception):
    """The address cannot be listened on; the message says why."""


class Starved(Exception):
    """The system gives this process too little; the message says of what."""


def serve(settings: Settings, listener: socket.socket | None = None) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP. A second signal cuts the grace period of running jobs short.

    Args:
        settings: of the server.
        listener: where it listens, if that is open already.

    Raises:
        SettingsError: a path is relative, and the current folder was deleted.
        RegistrationError: the registry cannot be loaded.
        Unusable: the store cannot be used, or can no longer be used.
        AddressError: the address cannot be listened on.
        Starved: there is no room for its files, threads or data.
    """
    _settle_output(settings)
    _allow_many_files(settings.worker_count)
    for signum in stop_signals():
        if signum != signal.SIGINT:  # Python raises KeyboardInterrupt for it
            signal.signal(signum, _stop_at_once)
    typed, settings = settings, _located(settings)
    with unmoved():  # workers begin where the server was started, too
        jobs = load(typed.target)
    _settle_output(settings)  # again: the module may have replaced the streams, and configured logging for itself
    with listener or listen(settings) as listening:
        settings = replace(settings, url=_address(listening, ANY_HOST) + settings.root_path)
        try:
            uvloop.run(_serve(jobs, settings, life.open_store(settings), listening))
        except MemoryError:
            raise Starved("there is no memory left for the server") from None
        except RuntimeError as error:
            if str(error) != NO_THREAD:
                raise
            raise Starved(
                "the system lets the server start no further thread: it has no memory left, or `ulimit -u` is too low"
            ) from None


def _settle_output(settings: Settings) -> None:
    streams.settle(output_matters=False)
    logs.configure(settings.log_format, settings.log_level)


def _located(settings: Settings) -> Settings:
    """The same with absolute paths, since a module that is imported may change the current folder."""
    try:
        return replace(settings, target=absolute(settings.target), database=settings.database.absolute())
    except FileNotFoundError:
        raise SettingsError("the current folder is not there any more: change to one that is") from None


def stop_signals() -> list[signal.Signals]:
    """SIGTERM and SIGINT; SIGHUP too, so that closing the terminal is a gentle stop, unless nohup has it ignored."""
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hangs_up else [])]


def _stop_at_once(signum: int, frame: FrameType | None) -> NoReturn:
    """End the process. Nothing was accepted yet, and a user's module might catch an exception while it is imported."""
    with suppress(Exception):  # the signal may have come in the middle of another line
        log(logging.INFO, "stopped before the start was complete")
    os._exit(0)


def _allow_many_files(workers: int) -> None:
    """Raise the limit of open files, as far as the system lets us.

    Raises:
        Starved: it stays below what the server needs with so many workers.
    """
    least = MIN_FILES + WORKER_FILES * workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # the server then makes do with fewer
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft != resource.RLIM_INFINITY and soft < least:
        raise Starved(
            f"the system lets the server open {soft} files, and with --workers {workers} it needs {least}: raise the "
            "limit, such as with `ulimit -n 1024`"
        )


def listen(settings: Settings) -> socket.socket:
    """A socket on the address.

    Raises:
        AddressError: it cannot be listened on.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise AddressError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; choose another --host or --port"
        ) from None
    return listener


async def _serve(jobs: Jobs, settings: Settings, store: Store, listener: socket.socket) -> None:
    engine = Engine(jobs, settings, store)
    stop, hurry = asyncio.Event(), asyncio.Event()
    _handle_signals(stop, hurry)
    try:
        await life.start(engine, store)
        access = Access(settings)
        behind = engine, access, settings.root_path
        http = HttpServer(config(Application(*behind), BACKLOG, Lane(*behind)))
        serving = asyncio.create_task(http.serve([listener]))
        lost = asyncio.create_task(life.watch(store, engine))
        _announce(jobs, settings, listener, store)
        ends = [serving, lost, asyncio.ensure_future(stop.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stop.set()  # from now on, a signal means: hurry
        log(logging.INFO, "stopping; once more stops at once", running=engine.running, grace=f"{settings.grace:g}s")
        await engine.stop(hurry)
        http.should_exit = True
        await serving
    finally:
        await _close(engine, store)
    log(logging.INFO, "stopped")
    if lost.done():
        raise Unusable(lost.result())
    lost.cancel()


async def _close(engine: Engine, store: Store) -> None:
    try:
        await engine.close()
    except Unusable as error:  # a normal end of the process would close it, too
        log(logging.ERROR, "not closed", database=store.place, error=str(error))
        os._exit(1)


def _handle_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    def handle() -> None:
        (hurry if stop.is_set() else stop).set()

    for signum in stop_signals():
        asyncio.get_running_loop().add_signal_handler(signum, handle)


def _address(listener: socket.socket, named: Mapping[str, str] = MappingProxyType({})) -> str:
    """Where a socket listens, with another name for some hosts."""
    host, port = listener.getsockname()[:2]
    host = named.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(jobs: Jobs, settings: Settings, listener: socket.socket, store: Store) -> None:
    """Say where everything is and what to try, on standard output, since this is not the log."""
    address = _address(listener) + settings.root_path
    workers = settings.worker_count
    names = ", ".join(jobs.names)
    lines = [
        f"Async Job API on {address}",
        f"  jobs      {f'{names} ({settings.target})' if settings.target else 'the built-in sleep'}",
        f"  database  {store.place}",
        f"  workers   {workers} {'process' if workers == 1 else 'processes'}, {settings.concurrency:,} jobs at once",
        f"  page      {address}/",
        f"  docs      {address}/docs",
    ]
    if settings.target is None:
        key = "" if settings.api_key is None else ' -H "x-api-key: $ASYNCJOB_API_KEY"'
        body = """-H 'content-type: application/json' -d '{"seconds": 3}'"""
        lines.append(f"  try       curl -i {address}/jobs{key} {body}")
    print("\n".join(lines), flush=True)
