"""The logs of the jobs that the store in memory keeps."""

import asyncio
from collections.abc import Sequence

from asyncjob.contract import LogQuery
from asyncjob.job_log import Place
from asyncjob.store import KeptLine, LogCut
from tests.store.memory_kept import Kept


class MemoryLogs:
    """Lines in memory."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def keep(self, lines: Sequence[KeptLine], cuts: Sequence[LogCut]) -> "asyncio.Future[None]":
        for line in lines:
            if (row := self._kept.jobs.get(line.job_id)) is not None:
                row.log.setdefault(_place(line), line)
        for cut in cuts:
            row = self._kept.jobs.get(cut.job_id)
            for place in list(row.log) if row is not None else ():
                if row is not None and cut.after < place < cut.before:
                    del row.log[place]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def of_job(self, job_id: str, query: LogQuery) -> tuple[list[KeptLine], bool]:
        row = self._kept.jobs.get(job_id)
        found: list[KeptLine] = []
        before = Place(0, 0)
        for place, line in sorted(row.log.items()) if row is not None else ():
            last = before.number if before.attempt == place.attempt else 0
            before = place
            if place > query.after and query.attempt in (None, place.attempt) and line.level >= query.level.number:
                seen = query.after.number if query.after.attempt == place.attempt else 0
                found.append(line._replace(left_out=place.number - 1 - max(last, seen)))
        return found[: query.limit], len(found) >= query.limit

    def last(self, job_id: str, attempt: int) -> int:
        row = self._kept.jobs.get(job_id)
        return max((number for of, number in row.log if of == attempt), default=0) if row is not None else 0


def _place(line: KeptLine) -> Place:
    return Place(line.attempt, line.number)
