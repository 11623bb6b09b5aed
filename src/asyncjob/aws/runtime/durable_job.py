"""A job of the durable edition in the table. Each transition is one guarded UpdateItem, here or in API Gateway.

A job is one item: `jobId`, `type`, `status`, `parameters` (JSON text by name), `attempt`, `createdAt`, what its
function told and returned, and

    current     a list of one map: the attempt that `attempt` counts, its `startedAt`, `finishedAt`, `status`, `error`;
                while it waits, `runAt` if it is not to begin before, and the `error` of the one before
    attempts    the maps of those before; a retry moves one over without having to read it
    spent       how many attempts were lost since the job was submitted or retried, of the `retries` that it has
    pauses      between attempts, see `pause_ms`; absent where there are none
    postponed   how often the function has put the job off
    options     as the submission had them, for comparison; `startBy`, if it has one
    lasts       milliseconds that an attempt may last; of a function without a timeout, as long as its invocation does
    deadline    when the attempt that runs is lost (milliseconds since 1970), `claimId` whose write began it
    shelf       the eighth of the jobs in which the indexes have it
    dueAt       when the sweeper is to look after it (milliseconds since 1970)
"""

import json
import os
import time
from typing import Any

from asyncjob.aws.runtime.durable_item import MAX_ITEM_BYTES, Job, Request, TooLarge, kept, packed, read, typed
from asyncjob.aws.runtime.dynamodb import Conflict, TableError, call
from asyncjob.aws.runtime.record import error, now_ms, timestamp
from asyncjob.context import MAX_POSTPONEMENTS
from asyncjob.job import TRANSITIONS, Status
from asyncjob.policies import Backoff, Pauses

CLOCK_SKEW_MS = 1_500
SHELVES = 8  # of the indexes; a job is on one of them by the millisecond of its POST
DISPATCH_MS = 120_000  # that a job may be Pending before the sweeper has it dispatched again; the time of a sweep too
EARLY_MS = 10_000  # before a sweep, so that it is not missed by what the one before took
LOSS_MS = 60_000  # past a deadline, before the sweeper gives the attempt up: who knows better has this long
NEVER_MS = 9_999_999_999_999  # when a job that has ended is due
LONGEST_SWEEP_MS = 3_600_000

FIRST = 1  # the attempt that `startBy` is about

RESERVED = (
    "status",
    "current",
    "error",
    "results",
    "large",
    "type",
    "parameters",
    "options",
    "last",
)  # and what stands beside them; DynamoDB wants a # there

LOST = ("WorkerLost", "the process ended, or could not record what became of the job")


class Changed(Exception):
    """The job is not as the write expected; `job` is how it is, empty where there is none."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"the job is {job.get('status')}, attempt {job.get('attempt')}")
        self.job = job


def fetch(job_id: str, until: float) -> Job | None:
    """The job as it is, or None.

    Raises:
        TableError: the table did not answer `until` then (seconds since 1970).
    """
    key = {"jobId": {"S": job_id}}
    found = call("GetItem", {"TableName": os.environ["TABLE"], "Key": key, "ConsistentRead": True}, until)
    return read(found["Item"]) if "Item" in found else None


def submit(job_id: str, job: Job, until: float) -> None:
    """Write a new job, as a POST does (build/durable/post_request.vtl).

    Args:
        job_id: the job's.
        job: what its item says of its function: `type`, `parameters`, `retries` and more; and its `delay` in ms.
        until: see `fetch`.

    Raises:
        Changed: there is a job with that id.
        TableError: see `fetch`.
    """
    now = now_ms()
    delay = job.get("delay", 0)
    values = {name: value for name, value in job.items() if name != "delay"} | {
        "status": Status.PENDING.value,
        "attempt": FIRST,
        "spent": 0,
        "createdAt": timestamp(now),
        "shelf": str(now % SHELVES),
        "dueAt": now + delay + DISPATCH_MS,
        "attempts": [],
        "current": [{"runAt": timestamp(now + delay)} if delay else {}],
    }
    names = {name: f"#{name}" if name in RESERVED else name for name in values}
    expression = "SET " + ", ".join(f"{written} = :{name}" for name, written in names.items())
    _written(job_id, "attribute_not_exists(jobId)", expression, until, values)


def point(key: str, before: str | None, after: str, until: float) -> None:
    """Have an item, which is no job's, say another `last`. Raises as `claim`."""
    guard = "attribute_not_exists(#last)" if before is None else "#last = :before"
    values = {"after": after, **({} if before is None else {"before": before})}
    _written(key, guard, "SET #last = :after", until, values)


def claim(job_id: str, attempt: int, lasts: int, until: float) -> Job:
    """Make the job Running, and this its attempt.

    Args:
        job_id: the job's.
        attempt: which one is to run.
        lasts: milliseconds that it may last if its function has no timeout.
        until: see `fetch`.

    Raises:
        Changed: the job does not wait for this attempt, not yet (`is_early`), or not any more (`is_late`).
        TableError: see `fetch`.
    """
    now, claim_id = now_ms(), os.urandom(8).hex()
    lasts_from = "if_not_exists(lasts, :lasts)"
    try:
        return _change(
            "claim",
            {"jobId": job_id, "attempt": attempt},
            f"SET #status = :target, #current[0].attempt = attempt, #current[0].startedAt = :now, claimId = :claimId, "
            f"deadline = {lasts_from} + :deadline, dueAt = {lasts_from} + :due "
            "REMOVE sweeps, #current[0].runAt, #current[0].#error",
            until,
            guard="(attribute_not_exists(#current[0].runAt) OR #current[0].runAt <= :soon) "
            "AND (attribute_not_exists(startBy) OR startBy > :now OR attempt > :first)",
            now=timestamp(now),
            soon=timestamp(now + CLOCK_SKEW_MS),
            first=FIRST,
            claimId=claim_id,
            lasts=lasts,
            deadline=now + CLOCK_SKEW_MS,
            due=now + CLOCK_SKEW_MS + LOSS_MS,
        )
    except Changed as changed:
        if changed.job.get("claimId") == claim_id:
            return changed.job  # it was written, and the answer was lost
        raise


def succeed(job: Job, results: str, progress: str | None, until: float) -> str:
    """Record what the function returned; the status that the job has then: Failure where that cannot be kept.

    Raises:
        Changed, TableError: see `claim`.
    """
    try:
        return _end(job, "succeed", packed(job, {"results": results}), None, progress, until)
    except TooLarge as large:
        return fail(job, error("InvalidResults", f"the results cannot be kept: {large}"), progress, until)


def fail(job: Job, reason: str, progress: str | None, until: float) -> str:
    """Record a Failure; `reason` is JSON text. Raises as `succeed`."""
    return _end(job, "fail", {}, reason, progress, until)


def is_early(job: Job) -> bool:
    """Whether the time of a job that waits is ahead."""
    return bool(job["current"][0].get("runAt", "") > timestamp(now_ms() + CLOCK_SKEW_MS))


def is_late(job: Job) -> bool:
    """Whether a job that waits must not begin any more."""
    return bool(job["attempt"] == FIRST and job.get("startBy", "9999") <= timestamp(now_ms()))


def expire(job: Job, until: float) -> str:
    """Record that a job has not begun in time. Raises as `succeed`."""
    reason = error("Expired", f"it had not begun by {job['startBy']}")
    return _end(job, "expire", {}, reason, None, until)


def repeat(job: Job, reason: str, until: float) -> str:
    """Let the job wait for its next attempt, because of `reason`. Raises as `succeed`."""
    return _wait(job, "repeat", Status.FAILURE, reason, pause_ms(job), "spent = spent + :one", until)


def postpone(job: Job, pause: float, reason: str, until: float) -> str:
    """Let the job wait for so many seconds, as its function wants; a Failure if that was too often.

    Raises:
        Changed, TableError: see `claim`.
    """
    count = job.get("postponed", 0) + 1
    if count > MAX_POSTPONEMENTS:
        told = f"it was put off {MAX_POSTPONEMENTS:,} times; the last time: {json.loads(reason)['message']}"
        return fail(job, error("RetryLater", told), None, until)
    more = "postponed = :postponed"
    return _wait(job, "postpone", Status.PENDING, reason, round(pause * 1_000), more, until, postponed=count)


def _wait(
    job: Job, transition: str, ended_as: Status, reason: str, pause: int, more: str, until: float, **values: Any
) -> str:
    now = now_ms()
    ended = {**job["current"][0], "status": ended_as.value, "finishedAt": timestamp(now), "error": reason}
    change = _change(
        transition,
        job,
        f"SET #status = :target, attempt = attempt + :one, {more}, attempts = :attempts, "
        "#current = :next, dueAt = :due REMOVE claimId, deadline, progress",
        until,
        one=1,
        attempts=kept([*job["attempts"], ended]),
        next=[{"error": reason, **({"runAt": timestamp(now + pause)} if pause else {})}],
        due=now + pause + DISPATCH_MS,
        **values,
    )
    return str(change["status"])


def pause_ms(job: Job) -> int:
    """Milliseconds before the next attempt of a job whose attempt was lost, by the backoff that it was accepted with.

    `pauses` is JSON: the pauses in seconds one by one, or a list with the values of a Backoff in it.
    """
    if "pauses" not in job:
        return 0
    pauses = json.loads(job["pauses"])
    backoff = Backoff(*pauses[0]) if isinstance(pauses[0], list) else Pauses(seconds=tuple(pauses))
    return round(backoff.pause(job["spent"]) * 1_000)


def lose(job: Job, reason: str, until: float) -> str:
    """End an attempt that is lost: the job runs again while it may, and is a Failure after that."""
    return repeat(job, reason, until) if may_repeat(job) else fail(job, reason, None, until)


def may_repeat(job: Job) -> bool:
    """Whether another attempt may follow. On AWS every attempt counts against the retries."""
    return bool(job["spent"] < job["retries"])


def dispatch_again(job: Job, until: float) -> None:
    """Have a job that waits dispatched once more: the write itself does it, by the table's stream.

    Each time the next one is twice as far away: the events of a job that waits for a free processor must not pile up.
    """
    pause = min(DISPATCH_MS * 2 ** min(job.get("sweeps", 0), 10), LONGEST_SWEEP_MS) - EARLY_MS
    _write(
        job["jobId"],
        "#status = :status AND attempt = :attempt AND dueAt = :before",
        "SET dueAt = :due, sweeps = :sweeps",
        until,
        status=Status.PENDING.value,
        attempt=job["attempt"],
        before=job["dueAt"],
        due=now_ms() + pause,
        sweeps=job.get("sweeps", 0) + 1,
    )


def tell(job: Job, progress: str, until: float) -> None:
    """Write how far the attempt is. Raises as `claim`."""
    _write(
        job["jobId"],
        "#status = :status AND attempt = :attempt AND createdAt = :createdAt",
        "SET progress = :progress",
        until,
        createdAt=job["createdAt"],
        status=job["status"],
        attempt=job["attempt"],
        progress=progress,
    )


def expired(job: Job) -> bool:
    """Whether a GET hides it already."""
    return "expiresAt" in job and bool(job["expiresAt"] <= time.time())


def _end(job: Job, transition: str, more: Request, reason: str | None, progress: str | None, until: float) -> str:
    values: Request = {**more, "now": timestamp(now_ms()), "never": NEVER_MS}
    sets = ["#status = :target", "#current[0].#status = :target", "#current[0].finishedAt = :now", "dueAt = :never"]
    sets += [f"#{name} = :{name}" for name in more]
    if reason is not None:
        values["error"] = reason
        sets.append("#current[0].#error = :error")
    if progress is not None:
        values["progress"] = progress
        sets.append("progress = :progress")
    if days := int(os.environ["RETENTION_DAYS"]):
        values["expiresAt"] = int(time.time()) + days * 86_400
        sets.append("expiresAt = :expiresAt")
    if (attempts := kept(job["attempts"])) != job["attempts"]:
        values["attempts"] = attempts
        sets.append("attempts = :attempts")
    return str(_change(transition, job, f"SET {', '.join(sets)} REMOVE claimId, deadline", until, **values)["status"])


def _change(transition: str, job: Job, expression: str, until: float, guard: str = "", **values: Any) -> Job:
    """Write a transition, guarded by the status and the attempt that it expects, and by `guard`; the job after it.

    A job that was read is guarded by its `createdAt` too: it may have been deleted, and another have its id by now.
    """
    known = TRANSITIONS[transition]
    (source,) = known.sources
    guards = ["#status = :source AND attempt = :attempt", *([guard] if guard else [])]
    values |= {"target": known.target.value, "source": source.value, "attempt": job["attempt"]}
    if "createdAt" in job:
        guards.append("createdAt = :createdAt")
        values["createdAt"] = job["createdAt"]
    guard = " AND ".join(guards)
    return _write(job["jobId"], guard, expression, until, **values)


def _write(job_id: str, guard: str, expression: str, until: float, **values: Any) -> Job:
    """Write a part of the item. Where that has no room, the history gives way: a job must always be able to go on."""
    try:
        return _written(job_id, guard, expression, until, values)
    except TooLarge:
        if values.get("attempts") == []:
            raise
    if "attempts" not in values:
        expression = expression.replace("SET ", "SET attempts = :attempts, ", 1)
    return _written(job_id, guard, expression, until, {**values, "attempts": []})


def _written(job_id: str, guard: str, expression: str, until: float, values: Request) -> Job:
    names = {f"#{name}": name for name in RESERVED if f"#{name}" in guard + expression}
    request = {
        "TableName": os.environ["TABLE"],
        "Key": {"jobId": {"S": job_id}},
        "ConditionExpression": guard,
        "UpdateExpression": expression,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {f":{name}": typed(value) for name, value in values.items()},
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    try:
        return read(call("UpdateItem", request, until)["Attributes"])
    except Conflict as conflict:
        raise Changed(read(dict(conflict.item))) from None
    except TableError as refusal:
        if "maximum allowed size" in str(refusal):
            raise TooLarge(f"DynamoDB has room for {MAX_ITEM_BYTES:,} bytes") from None
        raise
