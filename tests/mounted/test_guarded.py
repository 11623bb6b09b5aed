"""The guard that the docs put around a mounted API lets nobody past it, whatever the path and its prefix look like."""

import re
from pathlib import Path

import pytest

from tests.mounted.hosted import ROOT, Hosted

BLOCK = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("prefix", ["", "/api", "/work"])
def test_nobody_gets_past_the_guard_of_the_docs_without_the_token(tmp_path: Path, prefix: str) -> None:
    files = dict(BLOCK.findall((ROOT / "docs" / "fastapi.md").read_text()))
    for name in ("functions.py", "guarded.py"):
        (tmp_path / name).write_text(files[name])
    arguments = ["--app-dir", str(tmp_path), *(["--root-path", prefix] if prefix else [])]
    with Hosted(tmp_path / "jobs.db", *arguments, app="guarded:app", env={"TOKEN": "a token"}) as host:
        for path in (
            "/work/jobs",
            "/work",
            "/work/",
            "//work/jobs",
            "/work//jobs",
            "/api/work/jobs",
            "/work/work/jobs",
        ):
            for given in ({}, {"authorization": "Bearer another"}):
                answer = host.client.get(path, headers=given)
                assert answer.status_code in (401, 404, 307), path
                assert "jobs" not in answer.text, path
        body = {"jobId": "1", "month": "2026-11"}
        assert host.client.post("/work/jobs", json=body).status_code == 401
        allowed = {"authorization": "Bearer a token"}
        answer = host.client.post("/work/jobs", json=body, headers=allowed)
        assert (answer.status_code, answer.headers["location"]) == (202, f"{prefix}/work/jobs/1")
        assert host.client.get("/work/jobs/1?wait=20", headers=allowed).json()["results"] == {"2026-11": 30}
