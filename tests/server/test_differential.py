"""This server and another reader of HTTP see the same requests in the same bytes; `make differential` tries more."""

import asyncio

from tests.differential import compare

SEEDS = range(2_000)


def test_random_requests_cut_at_random_are_read_as_another_parser_reads_them() -> None:
    asyncio.run(compare(SEEDS))
