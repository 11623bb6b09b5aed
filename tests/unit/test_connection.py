"""What processes of one application say to each other arrives whole and in order, however it is cut on the way."""

import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from asyncjob.mounted.connection import (
    CHUNK_BYTES,
    MAX_FRAME_BYTES,
    Ask,
    Begin,
    Body,
    Connection,
    Hello,
    Message,
    Part,
    TooLarge,
    Welcome,
    chunks,
)

texts, blobs = st.text(max_size=20), st.binary(max_size=50)
headers = st.lists(st.tuples(blobs, blobs), max_size=3)
clients = st.none() | st.tuples(texts, st.integers(0, 65_535))
messages = st.one_of(
    st.builds(Hello, blobs),
    st.builds(Welcome, st.integers(0, 1 << 31), st.booleans()),
    st.builds(Ask, texts, texts, st.none() | blobs, texts, blobs, headers, clients, texts),
    st.builds(Body, blobs, st.booleans()),
    st.builds(Begin, st.integers(100, 599), headers),
    st.builds(Part, blobs, st.booleans()),
)


class Wire(asyncio.Transport):
    """Keeps what is written, and whether the connection was cut."""

    def __init__(self) -> None:
        super().__init__({"socket": self})
        self.written = bytearray()
        self.is_cut = False

    def fileno(self) -> int:
        return -1

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_cut

    def abort(self) -> None:
        self.is_cut = True

    def pause_reading(self) -> None:
        """Do nothing: all has been written."""

    resume_reading = pause_reading


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def _written(sent: list[Message]) -> bytes:
    wire, connection = Wire(), Connection()
    connection.connection_made(wire)
    for message in sent:
        await connection.send(message)
    connection.connection_lost(None)
    return bytes(wire.written)


async def _read(pieces: list[bytes]) -> tuple[list[Message], bool]:
    wire, connection = Wire(), Connection()
    connection.connection_made(wire)
    for piece in pieces:
        connection.data_received(piece)
    connection.connection_lost(None)
    found = []
    while (message := await connection.next()) is not None:
        found.append(message)
    return found, wire.is_cut


@given(st.lists(messages, max_size=8), st.data())
def test_messages_arrive_however_they_are_cut(sent: list[Message], data: st.DataObject) -> None:
    written = _run(_written(sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=5)))
    edges = [0, *cuts, len(written)]
    pieces = [written[start:end] for start, end in pairwise(edges)]
    assert _run(_read(pieces)) == (sent, False)


@given(st.binary(min_size=1, max_size=300))
def test_bytes_that_are_no_messages_end_the_connection_or_wait_for_more(data: bytes) -> None:
    found, is_cut = _run(_read([data]))
    assert is_cut or not found


def test_a_frame_over_the_limit_is_neither_sent_nor_read() -> None:
    try:
        _run(_written([Hello(b"x" * (MAX_FRAME_BYTES + 1))]))
    except TooLarge:
        pass
    else:
        raise AssertionError
    assert _run(_read([(MAX_FRAME_BYTES + 1).to_bytes(4, "big")])) == ([], True)


@given(st.integers(0, 3 * CHUNK_BYTES), st.booleans())
def test_a_body_is_cut_into_pieces_that_fit(size: int, more: bool) -> None:
    pieces = list(chunks(b"x" * size, more))
    assert sum(len(piece) for piece, _ in pieces) == size
    assert [is_more for _, is_more in pieces] == [True] * (len(pieces) - 1) + [more]
    assert all(len(piece) <= CHUNK_BYTES for piece, _ in pieces)
