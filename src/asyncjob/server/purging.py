"""Deletes old jobs (`--keep`): every minute, in small transactions, so that no submission waits for long."""

import asyncio
import logging

from asyncjob.job import now_ms, timestamp
from asyncjob.server.logs import log
from asyncjob.store import NotSaved, Store

PURGE_BATCH = 500  # jobs that one transaction deletes
PURGE_INTERVAL_SECONDS = 60.0  # between two looks for jobs to delete


async def purge_for_ever(store: Store, keep: float) -> None:
    """Delete the jobs that ended more than `keep` seconds ago, and go on until canceled."""
    while True:
        before = timestamp(now_ms() - round(keep * 1000))
        after: int | None = 0
        deleted = 0
        try:
            while after is not None:
                count, after = await store.purge(before, after, PURGE_BATCH)
                deleted += count
        except NotSaved as error:
            log(logging.ERROR, "purge failed, trying again later", error=str(error))
        if deleted:
            log(logging.INFO, "purged", jobs=deleted, finished_before=before)
        await asyncio.sleep(min(PURGE_INTERVAL_SECONDS, keep))
