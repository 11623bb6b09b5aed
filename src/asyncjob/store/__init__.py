"""The seam between a server and the place where it keeps jobs: what a store does, its records and its errors.

    StoreError
    ├── Unusable     the store cannot be opened, or cannot be trusted any more
    ├── NotSaved     a write was not saved
    └── Unreadable   a read failed

A server knows these files and never which store it has: `serve.py` chooses one. Every store passes tests/store/.

    protocol.py     what a store does
    records.py      what it is told and what it says; its errors
    deliveries.py   the same of notifications

Three rules hold for every verb. A write is durable, and visible to every read, when its future resolves. A status
changes only as the transition table in `job.py` says, by a write that is guarded by the statuses and the attempt it
expects; what the guard refuses is no error: the verb says that nothing was written. Every verb belongs to the event
loop in which `start` was called.

Nothing here assumes that one server has the store to itself. A slot, a claim and the count of what waits are those of
the server that holds this object; a job, its status and its guards are shared.
"""

from asyncjob.store.deliveries import Deliveries, Delivery, DeliveryStatus, Due, Notification, notification_of, receiver
from asyncjob.store.protocol import Observer, Store
from asyncjob.store.records import (
    FIRST,
    Attempt,
    Change,
    Claim,
    Claims,
    Lost,
    NotSaved,
    StoreError,
    Success,
    Suspect,
    Unreadable,
    Unusable,
)

__all__ = [
    "FIRST",
    "Attempt",
    "Change",
    "Claim",
    "Claims",
    "Deliveries",
    "Delivery",
    "DeliveryStatus",
    "Due",
    "Lost",
    "NotSaved",
    "Notification",
    "Observer",
    "Store",
    "StoreError",
    "Success",
    "Suspect",
    "Unreadable",
    "Unusable",
    "notification_of",
    "receiver",
]
