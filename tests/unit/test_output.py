"""A worker's standard streams: what is printed becomes lines, whoever prints it and however it is cut."""

import contextlib
import io
import itertools
import os
import subprocess
import threading
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjob.server.workers.channel import AttemptKey, Line, Logged, Message
from asyncjob.server.workers.lines import MAX_CHARACTERS, MAX_LINE_CHARACTERS, MAX_LINES
from asyncjob.server.workers.worker import written as module
from asyncjob.server.workers.worker.output import Output
from asyncjob.server.workers.worker.written import NOBODY, Written

ONE: AttemptKey = ("1", 1)
OTHER: AttemptKey = ("2", 1)


class Sent:
    """An outbox that keeps what it is given, and what prints into it as attempt ONE."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.attempt = ONE
        self.running = {ONE, OTHER}
        self.written = Written(self)  # type: ignore[arg-type]
        self.written.running = self.running
        self.stream = io.TextIOWrapper(io.BytesIO(), "utf-8")
        self.output = Output(self.stream, "stdout", self.written, lambda: self.attempt)

    def put(self, message: Message) -> None:
        self.messages.append(message)

    def send_waiting(self) -> None:
        """Nothing: it is sent already."""

    def end(self, key: AttemptKey = ONE) -> list[Line]:
        """End an attempt; all its lines."""
        self.running.discard(key)
        self.written.end(key)
        return self.lines(key)

    def lines(self, key: AttemptKey = ONE) -> list[Line]:
        logged = [message for message in list(self.messages) if isinstance(message, Logged)]
        return [line for message in logged if (message.job_id, message.attempt) == key for line in message.lines]


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        (["a line\n"], ["a line"]),
        (["a", " li", "ne\nan", "other"], ["a line", "another"]),
        (["two\nlines\n"], ["two", "lines"]),
        (["windows\r\n", "both\r", "\n"], ["windows", "both"]),
        (["\r 0%", "\r50%", "\r100%", "\n", "done\n"], ["100%", "done"]),
        (["0%\r", "50%\r", "100%\r"], ["100%"]),
        (["\n", "  \n", ""], []),
        (["\x1b[31mred\x1b[0m\n"], ["red"]),
        (["\x1b]0;title\x07 and \x00\n"], ["�]0;title� and �"]),
        (["lone \ud800\n"], ["lone ?"]),
        (["tab\there\n"], ["tab\there"]),
    ],
)
def test_what_is_printed_becomes_lines_as_a_terminal_would_show_them(
    sent: Sent, printed: list[str], lines: list[str]
) -> None:
    for text in printed:
        assert sent.output.write(text) == len(text)
    assert [line.message for line in sent.end()] == lines


@given(text=st.text(st.sampled_from("ab\n"), max_size=60), cuts=st.lists(st.integers(0, 60)))
def test_lines_are_the_same_however_the_text_is_cut(text: str, cuts: list[int]) -> None:
    sent = Sent()
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for start, end in itertools.pairwise(places):
        sent.output.write(text[start:end])
    assert [line.message for line in sent.end()] == [line for line in text.split("\n") if line]


def test_a_line_is_cut_and_one_without_an_end_does_not_fill_the_memory(sent: Sent) -> None:
    for _ in range(100):
        sent.output.write("x" * MAX_LINE_CHARACTERS)
    sent.output.write("\nnext\n")
    assert [line.message for line in sent.end()] == ["x" * MAX_LINE_CHARACTERS + "…", "next"]


def test_bytes_are_decoded_even_if_a_character_is_cut(sent: Sent) -> None:
    content = "é…\n".encode()
    for byte in content:
        sent.output.buffer.write(bytes([byte]))
    sent.output.buffer.write(b"\xff no text\n")
    assert [line.message for line in sent.end()] == ["é…", "\\xff no text"]


def test_each_attempt_has_its_own_lines_though_both_print_in_one_thread(sent: Sent) -> None:
    sent.output.write("first ")
    sent.attempt = OTHER
    sent.output.write("second\n")
    sent.attempt = ONE
    sent.output.write("goes on\n")
    assert [line.message for line in sent.end(ONE)] == ["first goes on"]
    assert [line.message for line in sent.end(OTHER)] == ["second"]


def test_two_threads_of_one_attempt_do_not_mix_their_lines(sent: Sent) -> None:
    sent.output.write("here ")
    thread = threading.Thread(target=sent.output.write, args=["there\n"])
    thread.start()
    thread.join()
    sent.output.write("and on\n")
    assert [line.message for line in sent.end()] == ["there", "here and on"]


def test_what_is_printed_after_the_attempt_has_ended_is_nobodys(sent: Sent) -> None:
    sent.output.write("in time\n")
    assert [line.message for line in sent.end()] == ["in time"]
    sent.output.write("too late\n")
    sent.written.send_rest()
    assert [line.message for line in sent.lines(NOBODY)] == ["too late"]


def test_the_stream_cannot_be_closed_and_is_no_terminal(sent: Sent) -> None:
    output = sent.output
    with contextlib.closing(output), contextlib.closing(output.buffer):
        assert not output.isatty() and output.writable() and not output.readable()
    output.reconfigure(encoding="latin-1")
    io.TextIOWrapper(cast(Any, output.detach()), "utf-8").write(
        "through a wrapper\n"
    )  # collected at once, which flushes it
    print("still open", file=output, flush=True)
    assert (output.encoding, output.name, output.mode) == ("utf-8", "<stdout>", "w")
    assert [line.message for line in sent.end()] == ["through a wrapper", "still open"]
    with pytest.raises(TypeError, match="must be str, not bytes"):
        output.write(b"bytes")  # type: ignore[arg-type]


def test_a_child_process_gets_the_descriptor() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as told:
        output = Output(stream, "stdout", Sent().written, lambda: ONE)
        subprocess.run(["echo", "from a child"], stdout=cast(Any, output), check=True)
        assert told.readline() == "from a child\n"


def test_a_fork_writes_to_the_descriptor(sent: Sent) -> None:
    sent.written.close()
    sent.output.write("forked\n")
    sent.output.buffer.write(b"bytes\n")
    sent.output.flush()
    assert sorted(sent.stream.buffer.getvalue().splitlines()) == [b"bytes", b"forked"]
    assert sent.end() == []


def test_the_first_lines_and_the_last_ones_are_sent_and_their_numbers_say_what_is_missing(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NEWEST_SECONDS", 1e9)
    monkeypatch.setattr(sent.written, "_newest_at", 1e18)
    count = 10 * MAX_LINES
    for number in range(count):
        sent.output.write(f"{number}\n")
    numbers = [line.number for line in sent.end()]
    assert numbers == [*range(1, MAX_LINES + 1), *range(count - MAX_LINES + 1, count + 1)]


def test_long_lines_are_bounded_by_their_characters(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent.written, "_newest_at", 1e18)
    for _ in range(200):
        sent.output.write("x" * 5_000 + "\n")
    lines = sent.end()
    assert sum(line.size for line in lines) <= 2 * MAX_CHARACTERS
    assert lines[0].number == 1 and lines[-1].number == 200


def test_what_waits_of_all_attempts_together_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SENT_AT_ONCE", 0)  # nothing leaves
    monkeypatch.setattr(module, "MAX_WAITING", 100_000)
    sent = Sent()
    for number in range(100):
        sent.attempt = (str(number), 1)
        sent.running.add(sent.attempt)
        for _ in range(10):
            sent.output.write("x" * 1_000 + "\n")
    waiting = sum(line.size for number in range(100) for line in sent.end((str(number), 1)))
    assert 90_000 < waiting <= 100_000
