"""Which requests may be handed to a second owner."""

from typing import Any

import pytest

from asyncjob.mounted.request import HandedRequest


@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize(("path", "safe"), [("/jobs", True), ("/jobs/a/cancel", True), ("/jobs/a/retry", False)])
def test_a_post_may_be_repeated_if_that_does_nothing_twice_whatever_the_framework_adds(
    path: str, safe: bool, end: str
) -> None:
    nothing: Any = None
    scope = {"method": "POST", "path": path + end, "raw_path": b"/work" + path.encode(), "headers": []}
    request = HandedRequest(scope, nothing, nothing)
    assert request.may_be_repeated
    request.times_handed_over = 1
    assert request.may_be_repeated is safe
