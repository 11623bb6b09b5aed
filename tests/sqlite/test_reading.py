"""Reads in a thread: nobody's read goes on, and nobody else's is ended for it."""

import asyncio
import sqlite3
import threading

import pytest

from asyncjob.sqlite.reading import Reader
from asyncjob.store import Unreadable

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def _reader() -> Reader:
    return Reader(sqlite3.connect(":memory:", check_same_thread=False), "test")


def test_a_read_that_is_canceled_is_interrupted_and_the_next_one_is_not() -> None:
    begun = threading.Event()
    ended: list[sqlite3.Error] = []

    def endless(connection: sqlite3.Connection) -> None:
        begun.set()
        try:
            connection.execute(ENDLESS).fetchone()
        except sqlite3.Error as error:
            ended.append(error)
            raise

    async def test() -> None:
        reader = _reader()
        first = asyncio.create_task(reader.read(endless))
        waiting = asyncio.create_task(reader.read(endless))
        await asyncio.to_thread(begun.wait)
        waiting.cancel()
        first.cancel()
        assert await reader.read(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
        assert reader.waiting == 0
        reader.close()

    asyncio.run(test())
    assert [str(error) for error in ended] == ["interrupted"]  # and the one that waited never began


def test_closing_ends_what_is_read() -> None:
    async def test() -> None:
        reader = _reader()
        begun = threading.Event()

        def endless(connection: sqlite3.Connection) -> None:
            begun.set()
            connection.execute(ENDLESS).fetchone()

        reading = asyncio.create_task(reader.read(endless))
        await asyncio.to_thread(begun.wait)
        reader.close()
        with pytest.raises(Unreadable, match="interrupted"):
            await reading

    asyncio.run(test())
