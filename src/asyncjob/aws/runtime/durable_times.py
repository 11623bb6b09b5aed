"""One-time schedules of EventBridge Scheduler, which call the dispatcher when a job's time has come.

Each has a name that follows from the attempt and its time, so that the same record of the stream again makes no second
one, and it deletes itself once it has called. It is in the schedule group of the stack and goes with that. A schedule
that cannot be made is no lost job: the sweeper finds what waits beyond its time.
"""

import hashlib
import os
import random
import time

from asyncjob.aws.runtime.record import to_json
from asyncjob.aws.runtime.shapes import Start
from asyncjob.aws.runtime.signing import post
from asyncjob.job import milliseconds

WRONG = (400, 402)  # what no repetition mends: a time beyond what Scheduler knows, its quota of schedules


def schedule(start: Start, function: str, until: float) -> bool:
    """Have a function called with the start, at the first whole second that is not before its time.

    Args:
        start: what is to be started.
        function: the ARN of the dispatcher: which processor a job has is decided when its time has come.
        until: when to leave it to Lambda to bring the record again, if Scheduler throttles (seconds since 1970).

    Returns:
        Whether nothing more can be done here: it is scheduled, or must be left to the sweeper.
    """
    second = -(-milliseconds(start["runAt"]) // 1_000)
    request = {
        "GroupName": os.environ["SCHEDULES"],
        "ScheduleExpression": f"at({time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))})",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": function,
            "RoleArn": os.environ["STARTER_ROLE"],
            "Input": to_json({"starts": [start]}),
        },
    }
    body = to_json(request).encode()
    path = f"/schedules/{_name(start)}"
    pause = 0.0
    while True:
        status, answer = post("scheduler", path, {"content-type": "application/json"}, body)
        if status in (200, 409):  # 409: the same record has come before
            return True
        if (status not in (429, 503) and status < 500) or time.time() + pause > until:
            break
        time.sleep(pause * random.random())
        pause = min(max(0.05, pause * 2), 2.0)
    print(to_json({"not scheduled": start, "status": status, "answer": answer.decode(errors="replace")[:500]}))
    return status in WRONG


def _name(start: Start) -> str:
    """At most 64 of the characters that Scheduler knows, whatever the id is."""
    named = f"{start['jobId']} {start['attempt']} {start['runAt']}"
    return f"{start['attempt']}-{hashlib.sha256(named.encode()).hexdigest()[:48]}"
