"""Which IP addresses are public, so that a name may lead to them without the address being allowed too.

The table is IANA's two special-purpose registries, whole, as last updated on 2025-10-09. Every block is refused, even
where the registry calls it globally reachable: nobody runs a receiver of notifications in any of them.

    https://www.iana.org/assignments/iana-ipv4-special-registry
    https://www.iana.org/assignments/iana-ipv6-special-registry

It is written out because Python's `is_global` follows the registries as they were when that Python was released.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address

# Block, name, where it is defined.
IPV4_SPECIAL = (
    ("0.0.0.0/8", "this network", "RFC 791"),
    ("10.0.0.0/8", "private use", "RFC 1918"),
    ("100.64.0.0/10", "shared address space", "RFC 6598"),
    ("127.0.0.0/8", "loopback", "RFC 1122"),
    ("169.254.0.0/16", "link local", "RFC 3927"),
    ("172.16.0.0/12", "private use", "RFC 1918"),
    ("192.0.0.0/24", "IETF protocol assignments, with all that it contains", "RFC 6890"),
    ("192.0.2.0/24", "documentation", "RFC 5737"),
    ("192.31.196.0/24", "AS112-v4", "RFC 7535"),
    ("192.52.193.0/24", "AMT", "RFC 7450"),
    ("192.88.99.0/24", "6to4 relay anycast, deprecated, and the 6a44 relay", "RFC 7526, RFC 6751"),
    ("192.168.0.0/16", "private use", "RFC 1918"),
    ("192.175.48.0/24", "direct delegation AS112 service", "RFC 7534"),
    ("198.18.0.0/15", "benchmarking", "RFC 2544"),
    ("198.51.100.0/24", "documentation", "RFC 5737"),
    ("203.0.113.0/24", "documentation", "RFC 5737"),
    ("240.0.0.0/4", "reserved, and the limited broadcast", "RFC 1112, RFC 919"),
)
IPV6_SPECIAL = (
    ("::/128", "unspecified", "RFC 4291"),
    ("::1/128", "loopback", "RFC 4291"),
    ("::ffff:0:0/96", "IPv4-mapped", "RFC 4291"),
    ("64:ff9b::/96", "IPv4-IPv6 translation", "RFC 6052"),
    ("64:ff9b:1::/48", "local IPv4-IPv6 translation", "RFC 8215"),
    ("100::/64", "discard only", "RFC 6666"),
    ("100:0:0:1::/64", "dummy prefix", "RFC 9780"),
    ("2001::/23", "IETF protocol assignments: Teredo, benchmarking, AMT, ORCHID and more", "RFC 2928"),
    ("2001:db8::/32", "documentation", "RFC 3849"),
    ("2002::/16", "6to4", "RFC 3056"),
    ("2620:4f:8000::/48", "direct delegation AS112 service", "RFC 7534"),
    ("3fff::/20", "documentation", "RFC 9637"),
    ("5f00::/16", "segment routing identifiers", "RFC 9602"),
    ("fc00::/7", "unique local", "RFC 4193"),
    ("fe80::/10", "link local", "RFC 4291"),
)
# Not in these registries, but no receiver is there either.
FURTHER = (
    ("168.63.129.16/32", "Azure's platform, as its virtual machines see it", "Microsoft"),
    ("224.0.0.0/4", "multicast", "RFC 5771"),
)

_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291: IANA assigns addresses only from this block
_TRANSLATED = IPv6Network("64:ff9b::/96")  # leads to the IPv4 address in its last 32 bits
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214: precedes the IPv4 address of a host behind a router
_SPECIAL: list[IPv4Network | IPv6Network] = [
    ip_network(block) for block, _, _ in (*IPV4_SPECIAL, *IPV6_SPECIAL, *FURTHER)
]


def is_public(address: Address) -> bool:
    """Whether it is an ordinary address on the internet."""
    if isinstance(address, IPv6Address):
        if address in _TRANSLATED:  # DNS64 answers with these for hosts that have only IPv4
            return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in _GLOBAL_UNICAST or (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
            return False
    return not any(address in network for network in _SPECIAL)
