"""No test asserts how long something takes: on a busy machine that would fail, and say nothing about the code.

A test may wait until a deadline, and say that something lasted long enough. What must be fast, the benchmarks measure;
of `make soak` and `make overload`, which judge latencies too, tests run the part that is not about time.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
CLOCK = re.compile(r"\btime\.(monotonic|perf_counter|process_time|time)(_ns)?\(\)")


def asserted_limits(text: str) -> Iterator[int]:
    """The lines that assert that a measured time is at most something."""
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            durations: set[str] = set()
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and _is_duration(node.value, durations):
                    durations |= {ast.unparse(target) for target in node.targets}
            compared = [each for node in ast.walk(function) if isinstance(node, ast.Assert) for each in ast.walk(node)]
            yield from (each.lineno for each in compared if isinstance(each, ast.Compare) and _limits(each, durations))


def _is_duration(node: ast.AST, durations: set[str]) -> bool:
    """Whether there is a difference of times in an expression, or a name that was given one."""
    return any(
        (isinstance(each, ast.BinOp) and isinstance(each.op, ast.Sub) and CLOCK.search(ast.unparse(each)))
        or (isinstance(each, ast.Name) and each.id in durations)
        for each in ast.walk(node)
    )


def _limits(compared: ast.Compare, durations: set[str]) -> bool:
    """Whether a duration is on the smaller side of a comparison."""
    sides = [compared.left, *compared.comparators]
    for left, operator, right in zip(sides, compared.ops, sides[1:], strict=False):
        smaller = {ast.Lt: left, ast.LtE: left, ast.Gt: right, ast.GtE: right}.get(type(operator))
        if smaller is not None and _is_duration(smaller, durations):
            return True
    return False


@pytest.mark.parametrize(
    ("asserted", "found"),
    [
        ("assert time.monotonic() - begin < 10", True),
        ("assert 0 < time.perf_counter() - begin < 1", True),
        ("assert abs(now - time.time()) <= 5", True),
        ("took = time.perf_counter() - begin; assert took < 1 and done", True),
        ("took = time.perf_counter() - begin; slow = 2 * took; assert limit > slow", True),
        ("assert time.monotonic() < deadline", False),
        ("assert time.monotonic() - begin >= 0.2", False),
        ("before = time.time(); assert before <= said <= time.time()", False),
    ],
)
def test_a_limit_is_told_from_a_deadline(asserted: str, found: bool) -> None:
    assert bool(list(asserted_limits(f"def test():\n    {asserted}"))) == found


def test_no_test_asserts_how_long_something_takes() -> None:
    files = list(TESTS.rglob("*.py"))
    assert len(files) > 100
    for file in files:
        assert not list(asserted_limits(file.read_text())), file


def test_soak_and_overload_run_in_tests_without_what_they_say_about_time() -> None:
    texts = [file.read_text() for file in TESTS.rglob("test_*.py") if file != Path(__file__)]
    running = [text for text in texts if re.search(r"\bbench[./](soak|overload)\b", text)]
    assert running
    assert all("--untimed" in text for text in running)
