"""Who may be notified: what is allowed is reached, and what is not never is, whatever a name resolves to."""

import asyncio
import subprocess
import sys
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjob.server.refusals import NotAllowed
from asyncjob.server.webhooks.receivers import NotifyPolicy, Undeliverable

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:93.184.215.14",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "2002:a00:1::",
    "fc00::1",
    "fe80::1",
    "fec0::1",
    "::a00:1",
    "4000::1",
    "ff0e::1",
]


def _resolved(policy: NotifyPolicy, monkeypatch: pytest.MonkeyPatch, *addresses: str, number: int = 0) -> str:
    async def look_up(host: str) -> list[object]:
        return [ip_address(address) for address in addresses]

    monkeypatch.setattr("asyncjob.server.webhooks.receivers._look_up", look_up)
    return asyncio.run(policy.resolve("https://hooks.example:8443/a?b=c#d", number)).url


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_leads_to_no_address_that_is_not_public(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Undeliverable, match="not public and not allowed"):
        _resolved(NotifyPolicy(["hooks.example"]), monkeypatch, address)
    assert _resolved(NotifyPolicy(["hooks.example"]), monkeypatch, address, "93.184.215.14") == (
        "https://93.184.215.14:8443/a?b=c"
    )
    assert _resolved(NotifyPolicy(["hooks.example", address]), monkeypatch, address)


@pytest.mark.parametrize("host", ["a..example", f"{'a' * 64}.example", "nowhere.invalid"])
def test_a_name_that_has_no_address_is_unreachable(host: str) -> None:
    with pytest.raises(Undeliverable, match="has no address"):
        asyncio.run(NotifyPolicy(["*.example", "*.invalid"]).resolve(f"https://{host}/", 0))


def test_tries_take_the_addresses_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = NotifyPolicy(["hooks.example"])
    found = ("93.184.215.14", "2606:2800:21f::1")
    urls = [_resolved(policy, monkeypatch, *found, number=number) for number in range(3)]
    assert urls == [
        "https://93.184.215.14:8443/a?b=c",
        "https://[2606:2800:21f::1]:8443/a?b=c",
        "https://93.184.215.14:8443/a?b=c",
    ]


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("hooks.example", "https://hooks.example/"),
        ("Hooks.Example", "https://HOOKS.example./x"),
        ("*.example", "https://a.b.example:444/"),
        ("10.0.0.0/8", "http://10.1.2.3/"),
        ("10.1.2.3", "https://10.1.2.3/"),
        ("[::1]", "http://[::1]:8000/"),
        ("localhost", "http://localhost:8000/"),
        ("hooks.example:8443", "https://hooks.example:8443/"),
        ("*.example:8443", "https://a.example:8443/"),
        ("hooks.example:443", "https://hooks.example/"),
        ("10.0.0.0/8:9000", "http://10.1.2.3:9000/"),
        ("10.1.2.3:80", "http://10.1.2.3/"),
        ("[::1]:9000", "http://[::1]:9000/"),
        ("[fd00::/8]:9000", "https://[fd00::1]:9000/"),
        ("fd00::1:9000", "https://[fd00::1:9000]/"),
    ],
)
def test_what_is_named_is_allowed(allowed: str, url: str) -> None:
    NotifyPolicy([allowed]).check(url)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("hooks.example", "https://a.hooks.example/"),
        ("*.example", "https://example/"),
        ("*.example", "https://other-example/"),
        ("10.0.0.0/8", "http://11.0.0.1/"),
        ("localhost", "http://127.0.0.1/"),
        ("hooks.example", "https://hooks.example@other.example/"),
        ("hooks.example:8443", "https://hooks.example/"),
        ("hooks.example:8443", "https://hooks.example:443/"),
        ("*.example:8443", "https://a.example:8444/"),
        ("10.0.0.0/8:9000", "http://10.1.2.3/"),
        ("[::1]:9000", "http://[::1]:9001/"),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]/"),
        ("fe80::/10", "http://[fe80::1%25eth0]/"),
        ("*.example", f"https://{'a.' * 130}example/"),
    ],
)
def test_nothing_else_is(allowed: str, url: str) -> None:
    with pytest.raises(NotAllowed):
        NotifyPolicy([allowed]).check(url)


@pytest.mark.parametrize(
    "entry",
    [
        "https://hooks.example",
        "hooks.example:",
        "hooks.example:0",
        "hooks.example:65536",
        "hooks.example:٣",
        ":80",
        "[hooks.example]:80",
        "fe80::1%eth0",
        "10.0.0",
        "10.0.0.256",
        "",
        "*",
        "*.",
        "*.:80",
        "-.example",
        "a b",
        "*.*.example",
        "a/b",
        f"{'a' * 64}.example",
        "a." * 127 + "a",
    ],
)
def test_an_entry_that_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        NotifyPolicy([entry])


def test_an_allow_list_is_read_in_one_pass_whatever_is_in_it() -> None:
    """As long an expression with a port as a command line can have once took time that doubled with each character."""
    entries = ["a" * 10_000, "a." * 5_000 + ":8443", "a" * 10_000 + ":", ":" * 10_000, "*." * 5_000, "[" * 10_000]
    code = f"""
from asyncjob.server.webhooks.receivers import NotifyPolicy
for entry in {entries!r}:
    try:
        NotifyPolicy([entry])
    except ValueError as error:
        assert len(str(error)) < 500
    else:
        raise AssertionError(entry)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_a_name_that_is_allowed_at_a_port_leads_to_no_other_port_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _resolved(NotifyPolicy(["hooks.example", "10.0.0.0/8:8443"]), monkeypatch, "10.0.0.1")
    with pytest.raises(Undeliverable, match="not public and not allowed"):
        _resolved(NotifyPolicy(["hooks.example", "10.0.0.0/8:443"]), monkeypatch, "10.0.0.1")


def test_what_the_dns_answers_is_not_in_the_message_that_clients_see(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Undeliverable) as caught:
        _resolved(NotifyPolicy(["hooks.example"]), monkeypatch, "10.11.12.13")
    assert "10.11.12.13" not in caught.value.message
    assert "10.11.12.13" in caught.value.detail


@given(url=st.text() | st.from_regex(r"https?://[^/]*/.*"))
def test_whatever_is_given_is_allowed_or_refused(url: str) -> None:
    try:
        NotifyPolicy(["hooks.example", "10.0.0.0/8"]).check(url)
    except NotAllowed as error:
        assert error.message.startswith("options.notify ")


@given(address=st.ip_addresses(network="10.0.0.0/8"), outside=st.ip_addresses(v=4))
def test_a_network_allows_its_addresses_and_no_other(address: object, outside: object) -> None:
    policy = NotifyPolicy(["10.0.0.0/8"])
    policy.check(f"http://{address}/")
    if ip_address(str(outside)) not in ip_network("10.0.0.0/8"):
        with pytest.raises(NotAllowed):
            policy.check(f"http://{outside}/")
