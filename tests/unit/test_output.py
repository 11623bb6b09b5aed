"""Standard streams of a worker: lines leave at once, the rest when asked, and no fault of the file is the worker's."""

import os
import threading
from pathlib import Path

import pytest

from asyncjob.server.workers.worker.output import Output


def test_a_line_leaves_when_it_is_complete_and_the_rest_of_one_when_its_thread_is_done(tmp_path: Path) -> None:
    file = tmp_path / "out"
    output = Output(file.open("w"))
    output.write("a line\nand")
    assert file.read_text() == "a line\nand"
    output.write(" more")
    other = threading.Thread(target=output.flush_rest)
    other.start()
    other.join()
    assert file.read_text() == "a line\nand"
    output.flush_rest()
    assert file.read_text() == "a line\nand more"
    output.close()


def test_a_full_file_fails_who_writes_a_line_and_nobody_who_only_ends() -> None:
    output = Output(os.fdopen(os.open("/dev/full", os.O_WRONLY), "w"))
    with pytest.raises(OSError, match="space"):
        output.write("x\n")
    output.write("x")
    output.flush_rest()
    os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
    output.close()


def test_a_closed_pipe_fails_who_writes_and_nobody_who_only_ends() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    output = Output(os.fdopen(writer, "w"))
    output.write("x")
    output.flush_rest()
    with pytest.raises(BrokenPipeError):
        output.write("x\n")
    os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
    output.close()
