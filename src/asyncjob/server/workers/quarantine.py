"""Decides which jobs may share a process after theirs has died, so that the guilty one is found and no other pays.

Nobody knows which job of a dead process ended it, so none is charged. All of them become suspects and run again, apart
from other jobs, in new processes that each hold half as many as the one that died. One half lives, and its jobs go on;
the other dies and is halved again, until a job that dies alone has shown that it is guilty. That one is charged.

To find one guilty job among n takes log2(n) + 1 processes one after the other, however long the innocent jobs run.
Running n suspects one by one would take as long as all of them together.

A job may also end the server itself, by taking all the memory, say. Jobs that were interrupted again and again begin
one after the other: each when the one before has ended, or after a minute.
"""

from dataclasses import dataclass

from asyncjob.server.workers.channel import AttemptKey
from asyncjob.store import Suspect

MAX_GROUPS = 32  # processes of suspects at once; a guilty job among a thousand that run for hours leaves ten
MAX_GROUPS_ASIDE = 4 * MAX_GROUPS  # counting those whose jobs wait for other jobs
SOLO_INTERRUPTIONS = 5  # from which on a job begins alone
SOLO_SECONDS = 60.0  # after which the next may begin
MAX_INTERRUPTIONS = 10  # at which a job becomes a Failure: it may be what ends the server


def half(count: int) -> int:
    """How many of the jobs of a dead process may share one again, given how many it ran."""
    return max(1, (count + 1) // 2)


@dataclass(eq=False)
class Group:
    """Suspects that share a process.

    Attributes:
        members: those that it has not been given yet.
        is_solo: whether it holds back others that were interrupted as often.
        is_aside: whether all that it runs waits for other jobs, which may need a process themselves.
    """

    members: dict[AttemptKey, Suspect]
    is_solo: bool
    is_aside: bool = False


class Quarantine:
    """The suspects that wait for a process, and the groups that have one."""

    def __init__(self) -> None:
        self._waiting: dict[AttemptKey, Suspect] = {}
        self._groups: list[Group] = []

    def add(self, suspect: Suspect) -> None:
        """Let it wait for a process, unless it does or has one."""
        key = suspect.job_id, suspect.attempt
        if self.find(key) is None:
            self._waiting[key] = suspect

    def remove(self, key: AttemptKey) -> Group | None:
        """The job was canceled. Returns the group that it was a member of."""
        self._waiting.pop(key, None)
        group = self.find(key)
        if group is not None:
            del group.members[key]
        return group

    def find(self, key: AttemptKey) -> Group | None:
        """The group whose process has not been given this member yet."""
        return next((group for group in self._groups if key in group.members), None)

    def take_group(self) -> Group | None:
        """The suspects that share the next process; None if none may run now.

        The largest groups come first: the more suspects a group has, the more of them are innocent.
        """
        solo_runs = any(group.is_solo for group in self._groups)
        allowed = [one for one in self._waiting.values() if not (solo_runs and _is_solo(one))]
        busy = sum(not group.is_aside for group in self._groups)
        if not allowed or busy >= MAX_GROUPS or len(self._groups) >= MAX_GROUPS_ASIDE:
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
        """Its process has ended; if that was before it was ready, its members wait again."""
        self._groups.remove(group)
        if not was_ready:
            self._waiting |= group.members


def _is_solo(suspect: Suspect) -> bool:
    return suspect.interruptions >= SOLO_INTERRUPTIONS
