"""Settings of a server."""

from typing import Any

import pytest

from asyncjob.server.settings import Settings, SettingsError, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("90s", 90), ("5m", 300), ("12h", 43_200), ("30d", 2_592_000), ("2 w", 1_209_600)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "0d", "1.5h", "1y", "1 month", "٣d"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30d"):
        parse_duration(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    assert Settings(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_another_address_needs_a_key_or_a_word(host: str) -> None:
    with pytest.raises(SettingsError, match="--insecure"):
        Settings(host=host)
    assert Settings(host=host, api_key="k" * 16).host == host
    assert Settings(host=host, insecure=True).host == host


@pytest.mark.parametrize("host", ["localhost:80", "http://127.0.0.1", "[::1]", "::1]", "a b", "me@host"])
def test_a_host_with_a_port_or_of_a_url_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match="is neither an address nor a name"):
        Settings(host=host, insecure=True)


def test_there_are_never_more_workers_than_jobs_at_once() -> None:
    assert Settings(workers=8, concurrency=3).worker_count == 3


def test_notifications_need_a_secret_that_cannot_be_guessed() -> None:
    with pytest.raises(SettingsError, match="needs ASYNCJOB_NOTIFY_SECRET"):
        Settings(notify_allow=["hooks.example"])
    for secret in ("", "whsec_", "whsec_c2hvcnQ=", "whsec_%%%", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_é"):
        with pytest.raises(SettingsError, match="--notify-secret must be whsec_"):
            Settings(notify_allow=["hooks.example"], notify_secret=secret)
    assert Settings(
        notify_allow=["hooks.example"], notify_secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    ).notify_secret


def test_a_host_that_is_none_is_no_setting() -> None:
    with pytest.raises(SettingsError, match=r"--notify-allow 'https://hooks.example' is not a host"):
        Settings(notify_allow=["https://hooks.example"])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"workers": 0}, "--workers must be a whole number from 1 to 1,000, not 0"),
        ({"workers": "2"}, "--workers must be a whole number from 1 to 1,000, not '2'"),
        ({"concurrency": True}, "--concurrency must be a whole number from 1 to 100,000, not True"),
        ({"max_pending": 1.5}, "--max-pending must be a whole number of 1 or more, not 1.5"),
        ({"grace": float("nan")}, "--grace must be a number from 0 to 86,400, not nan"),
        ({"backoff": -1}, "--backoff must be a number from 0 to 300, not -1"),
    ],
)
def test_a_number_that_can_be_nothing_is_refused_whoever_gives_it(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings(**wrong)
    assert str(refused.value) == reason
