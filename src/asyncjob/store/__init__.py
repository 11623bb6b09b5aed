"""The seam between a server and the place where it keeps jobs: what a store does, its records and its errors.

    StoreError
    ├── Unusable     the store cannot be opened, or cannot be trusted any more
    │   └── InUse    another server has it
    ├── NotSaved     a write was not saved
    └── Unreadable   a read failed

A server knows only these files. `life.py` chooses the store. Every store passes tests/store/.

    protocol.py     what a store does
    observer.py     what it tells its server of
    records.py      what it takes and returns, and its errors
    deliveries.py   the same for notifications
    logs.py         the same for the logs of jobs
    schedules.py    the same for schedules

Three rules hold for every verb:

- When its future resolves, a write is durable, and every read sees it.
- A status changes only as the transition table in `job.py` allows, by a write that is guarded by the statuses and the
  attempt that it expects. A write that the guard refuses is no error: the verb says that nothing was written.
- Every verb is called in the event loop in which `start` was called.

Nothing here assumes that one server has the store to itself. Slots, claims and the count of waiting jobs belong to the
server that holds the object; jobs, statuses and guards are shared.
"""

from asyncjob.store.deliveries import Deliveries, Delivery, DeliveryStatus, Due, Notification, notification_of, receiver
from asyncjob.store.logs import KeptLine, LogCut, Logs
from asyncjob.store.observer import Observer, Told
from asyncjob.store.protocol import Store
from asyncjob.store.records import (
    FIRST,
    LEVEL_MS,
    Attempt,
    Change,
    Claim,
    Claims,
    Duplicate,
    Expired,
    InUse,
    Lost,
    NotSaved,
    Shown,
    StoreError,
    Success,
    Suspect,
    Unreadable,
    Unusable,
)
from asyncjob.store.schedules import Begin, Fired, Firing, LastJob, Scheduled, Schedules

__all__ = [
    "FIRST",
    "LEVEL_MS",
    "Attempt",
    "Begin",
    "Change",
    "Claim",
    "Claims",
    "Deliveries",
    "Delivery",
    "DeliveryStatus",
    "Due",
    "Duplicate",
    "Expired",
    "Fired",
    "Firing",
    "InUse",
    "KeptLine",
    "LastJob",
    "LogCut",
    "Logs",
    "Lost",
    "NotSaved",
    "Notification",
    "Observer",
    "Scheduled",
    "Schedules",
    "Shown",
    "Store",
    "StoreError",
    "Success",
    "Suspect",
    "Told",
    "Unreadable",
    "Unusable",
    "notification_of",
    "receiver",
]
