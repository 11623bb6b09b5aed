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
    try:
        text = to_json(parameters)
    except ValueError:  # 1e999 is no number to anybody, so its function refuses it
        text = "{}"
    return {"jobId": event["jobId"], "type": kind, "parameters": text, "createdAt": timestamp(event["createdAt"])}


def parsed(event: Event) -> tuple[str, dict[str, Any]]:
    """The function's name, and its parameters."""
    parameters = {name: value for name, value in event["request"].items() if name not in ("jobId", "type")}
    return event["request"].get("type", "sleep"), parameters


def expired(item: Item) -> bool:
    """Whether a GET hides it already."""
    return "expiresAt" in item and item["expiresAt"] <= time.time()


def guard(item: Item, *more: str) -> dict[str, Any]:
    """What a write expects to find where this item was: its status, its attempt, and `more`."""
    return {name: value for name, value in item.items() if name in ("status", "attempt", *more)}


def ended(transition: str, outcome: Item) -> Item:
    """What an item gains at its job's end."""
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
