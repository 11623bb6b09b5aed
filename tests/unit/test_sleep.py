"""The built-in job."""

import asyncio

import pytest

from asyncjob.sleep import sleep


@pytest.mark.parametrize(("seconds", "said"), [(0, "0"), (0.0, "0.0"), (0.01, "0.01")])
def test_it_sleeps_and_says_so_with_the_number_as_it_was_given(seconds: float, said: str) -> None:
    assert asyncio.run(sleep(seconds)) == {"message": f"I slept for {said} seconds"}


def test_the_limit_is_5_seconds_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIMEOUT", raising=False)
    with pytest.raises(ValueError, match="at most 5 "):
        asyncio.run(sleep(5.1))


@pytest.mark.parametrize("limit", ["soon", "nan", "inf", "-1", ""])
def test_a_limit_that_is_none_is_a_failure_that_names_it(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setenv("TIMEOUT", limit)
    with pytest.raises(ValueError, match="TIMEOUT must be a number of seconds"):
        asyncio.run(sleep(0))


def test_the_limit_is_read_from_the_environment_at_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMEOUT", "0.5")
    with pytest.raises(ValueError, match=r"at most 0\.5 "):
        asyncio.run(sleep(1))
    monkeypatch.setenv("TIMEOUT", "0.005")
    with pytest.raises(ValueError, match=r"at most 0\.005 "):
        asyncio.run(sleep(0.01))
