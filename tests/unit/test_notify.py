"""Who may be notified: what is allowed is reached, and what is not never is, whatever a name resolves to."""

import asyncio
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjob.contract import ApiError
from asyncjob.local.notify import NotifyPolicy, Unreachable

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

    monkeypatch.setattr("asyncjob.local.notify._look_up", look_up)
    return asyncio.run(policy.resolve("https://hooks.example:8443/a?b=c#d", number)).url


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_leads_to_no_address_that_is_not_public(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable, match="not public and not allowed"):
        _resolved(NotifyPolicy(["hooks.example"]), monkeypatch, address)
    assert _resolved(NotifyPolicy(["hooks.example"]), monkeypatch, address, "93.184.215.14") == (
        "https://93.184.215.14:8443/a?b=c"
    )
    assert _resolved(NotifyPolicy(["hooks.example", address]), monkeypatch, address)


@pytest.mark.parametrize("host", ["a..example", f"{'a' * 64}.example", "nowhere.invalid"])
def test_a_name_that_has_no_address_is_unreachable(host: str) -> None:
    with pytest.raises(Unreachable, match="has no address"):
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
    ],
)
def test_nothing_else_is(allowed: str, url: str) -> None:
    with pytest.raises(ApiError):
        NotifyPolicy([allowed]).check(url)


@pytest.mark.parametrize("entry", ["https://hooks.example", "hooks.example:443", "", "*", "a b", "*.*.example", "a/b"])
def test_an_entry_that_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        NotifyPolicy([entry])


@given(url=st.text() | st.from_regex(r"https?://[^/]*/.*"))
def test_whatever_is_given_is_allowed_or_refused_with_400(url: str) -> None:
    try:
        NotifyPolicy(["hooks.example", "10.0.0.0/8"]).check(url)
    except ApiError as error:
        assert error.status == 400


@given(address=st.ip_addresses(network="10.0.0.0/8"), outside=st.ip_addresses(v=4))
def test_a_network_allows_its_addresses_and_no_other(address: object, outside: object) -> None:
    policy = NotifyPolicy(["10.0.0.0/8"])
    policy.check(f"http://{address}/")
    if ip_address(str(outside)) not in ip_network("10.0.0.0/8"):
        with pytest.raises(ApiError):
            policy.check(f"http://{outside}/")
