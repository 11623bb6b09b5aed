"""Which addresses are public: none of IANA's special ones, and none that leads to one of them."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjob.server.webhooks.addresses import FURTHER, IPV4_SPECIAL, IPV6_SPECIAL, is_public

TRANSLATED = ip_network("64:ff9b::/96")
BLOCKS = [block for block, _, _ in (*IPV4_SPECIAL, *IPV6_SPECIAL, *FURTHER)]


@pytest.mark.parametrize("block", BLOCKS)
def test_no_address_of_a_special_block_is_public(block: str) -> None:
    network = ip_network(block)
    assert not is_public(network[0])
    assert network == TRANSLATED or not is_public(network[-1])


@pytest.mark.parametrize(
    "address",
    [
        "168.63.129.16",
        "169.254.169.254",
        "100.100.100.200",
        "192.0.0.192",
        "192.88.99.1",
        "192.52.193.1",
        "239.255.255.250",
        "3fff::1",
        "3fff:fff:ffff::1",
        "2620:4f:8000::1",
        "2001::1",
        "2001:1::1",
        "2001:20::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "5f00::1",
        "ff02::1",
        "::ffff:0:5db8:d70e",
        "::5db8:d70e",
        "2002:5db8:d70e::1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::a83f:8110",
        "64:ff9b:1::5db8:d70e",
        "2606:2800:21f::5efe:10.0.0.1",
        "2606:2800:21f::200:5efe:93.184.215.14",
    ],
)
def test_what_leads_inside_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["93.184.215.14", "168.63.129.15", "192.0.1.1", "2606:2800:21f::1", "2620:4f:8001::1", "64:ff9b::5db8:d70e"],
)
def test_an_ordinary_address_is(address: str) -> None:
    assert is_public(ip_address(address))


@given(address=st.ip_addresses())
def test_what_python_calls_private_is_never_public(address: IPv4Address | IPv6Address) -> None:
    assert address in TRANSLATED or not is_public(address) or (address.is_global and not address.is_multicast)
