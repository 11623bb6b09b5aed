"""Which jobs may share a process after one died that they were in: the guilty is found, and nobody else pays.

Nobody knows which job of a dead process ended it. So none is charged. All are suspects, and run again apart from the
others: in new processes, with half as many in each as were in the one that died. Of the halves one lives, and its jobs
go on; the other dies and is halved again, until a job that dies alone has shown that it did it. That one is charged.

For one guilty job among n this takes log2(n) + 1 processes one after the other, however long the innocent run. To run
n suspects one by one would take as long as all of them together.

A server that dies may have been ended by a job too: one that takes the machine's memory, say. Jobs that were
interrupted so again and again begin one after the other, a minute apart unless the one before has ended.
"""

from dataclasses import dataclass

from asyncjob.server.workers.channel import AttemptKey
from asyncjob.store import Suspect

MAX_GROUPS = 32  # processes of suspects at once: a guilty job among a thousand that run for hours leaves ten behind it
SOLO_INTERRUPTIONS = 5
SOLO_SECONDS = 60.0
MAX_INTERRUPTIONS = 10  # a job that was interrupted so often is a Failure: it may be what ends the server


def half(count: int) -> int:
    """How many jobs of a dead process, in which there were so many, may share one again."""
    return max(1, (count + 1) // 2)


@dataclass(eq=False)
class Group:
    """Suspects that share a process.

    Attributes:
        members: those that have not been given to it yet.
        is_solo: whether no job may begin that was interrupted as often.
    """

    members: dict[AttemptKey, Suspect]
    is_solo: bool


class Quarantine:
    """The suspects that wait for a process, and the groups of those that have one."""

    def __init__(self) -> None:
        self._waiting: dict[AttemptKey, Suspect] = {}
        self._groups: list[Group] = []

    def add(self, suspect: Suspect) -> None:
        """Have it wait."""
        self._waiting[suspect.job_id, suspect.attempt] = suspect

    def remove(self, key: AttemptKey) -> Group | None:
        """The job was canceled; the group that it was a member of."""
        self._waiting.pop(key, None)
        group = self.find(key)
        if group is not None:
            del group.members[key]
        return group

    def find(self, key: AttemptKey) -> Group | None:
        """The group that has not been given this member yet."""
        return next((group for group in self._groups if key in group.members), None)

    def take_group(self) -> Group | None:
        """The suspects that share the next process; None if none wait that may run now.

        The largest groups come first: the more suspects there are in one, the more of them are innocent.
        """
        solo_runs = any(group.is_solo for group in self._groups)
        allowed = [one for one in self._waiting.values() if not (solo_runs and _is_solo(one))]
        if not allowed or len(self._groups) >= MAX_GROUPS:
            return None
        first = max(allowed, key=lambda one: one.group_limit)
        if _is_solo(first):
            taken = [first]
        else:
            alike = [one for one in allowed if one.group_limit == first.group_limit and not _is_solo(one)]
            taken = alike[: first.group_limit]
        group = Group({(one.job_id, one.attempt): one for one in taken}, _is_solo(first))
        for key in group.members:
            del self._waiting[key]
        self._groups.append(group)
        return group

    def end_group(self, group: Group, *, was_ready: bool) -> None:
        """Its process has ended. If that was before it was ready, its members wait again."""
        self._groups.remove(group)
        if not was_ready:
            self._waiting |= group.members


def _is_solo(suspect: Suspect) -> bool:
    return suspect.interruptions >= SOLO_INTERRUPTIONS
