"""The record of a job: what its item says at each step, in the words of the contract."""

import json
import os
import time
from typing import Any

from asyncjob.aws.runtime.shapes import Event, Item
from asyncjob.job import TRANSITIONS

STATUS = {name: TRANSITIONS[name].target.value for name in ("claim", "succeed", "fail")}


def submitted(event: Event) -> Item:
    """The item of a job that nobody has claimed yet."""
    kind, parameters = parsed(event)
    created_at = timestamp(event["createdAt"])
    return {"jobId": event["jobId"], "type": kind, "parameters": to_json(parameters), "createdAt": created_at}


def parsed(event: Event) -> tuple[str, dict[str, Any]]:
    """The job function's name, and its parameters."""
    parameters = {name: value for name, value in event["request"].items() if name not in ("jobId", "type")}
    return event["request"].get("type", "sleep"), parameters


def expired(item: Item) -> bool:
    """Whether a GET hides it already."""
    return "expiresAt" in item and item["expiresAt"] <= time.time()


def guard(item: Item, *more: str) -> dict[str, Any]:
    """What a write that follows this item expects to find: its status and attempt, and what `more` names of it."""
    return {name: value for name, value in item.items() if name in ("status", "attempt", *more)}


def ended(transition: str, outcome: Item) -> Item:
    """What an item gains at its job's end: the outcome, a status, and times."""
    ending: Item = {**outcome, "status": STATUS[transition], "finishedAt": timestamp(now_ms())}
    if days := int(os.environ["RETENTION_DAYS"]):
        ending["expiresAt"] = int(time.time()) + days * 86_400
    return ending


def error(kind: str, message: str) -> str:
    return to_json({"type": kind, "message": message[:10_000]})


def to_json(value: Any) -> str:
    """JSON text. Lone surrogates, which it cannot carry, are replaced."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode(errors="replace").decode()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def timestamp(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"
