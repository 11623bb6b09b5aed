import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.double.double import Double
from tests.aws.double_stack import Small


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


def put(double: Double, *job_ids: str, **attributes: Any) -> None:
    client = double.client("dynamodb")
    for job_id in job_ids:
        client.put_item(TableName="Jobs", Item={"jobId": {"S": job_id}, **attributes})


def test_a_record_reaches_the_function(small: Small) -> None:
    with small.mapped().deployed() as double:
        put(double, "a")
        double.advance(1)
        assert small.batches() == [["a"]]
        put(double, "a", x={"S": "y"})
        double.idle()
        assert small.batches() == [["a"], ["a"]]
