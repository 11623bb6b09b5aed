"""Runs suspects: each group of them in a process of its own. Who shares a group is decided in quarantine.py.

Such a process offers no slots. Its suspects are admitted, so that the store claims them, and take slots of the others.
"""

import asyncio
from collections.abc import Iterable

from asyncjob.server.workers.channel import AttemptKey
from asyncjob.server.workers.processes import Processes
from asyncjob.server.workers.quarantine import SOLO_SECONDS, Group, Quarantine
from asyncjob.server.workers.running import Worker
from asyncjob.store import Store, Suspect


class Suspects:
    """The suspects of one server.

    Args:
        store: where they wait until they are admitted.
        processes: starts one for each group.
    """

    def __init__(self, store: Store, processes: Processes) -> None:
        self._store = store
        self._processes = processes
        self._quarantine = Quarantine()

    def begin(self, waiting: Iterable[Suspect]) -> None:
        """Start the processes of the suspects that an earlier server left."""
        for suspect in waiting:
            self._quarantine.add(suspect)
        self._start_groups()

    def add(self, suspect: Suspect) -> None:
        """One more; those that are added in one turn of the event loop may share processes."""
        self._quarantine.add(suspect)
        asyncio.get_running_loop().call_soon(self._start_groups)

    def admit(self, worker: Worker, group: Group) -> None:
        """Its process is ready: have the members of the group claimed."""
        suspects = list(group.members.values())

        def admitted(written: "asyncio.Future[list[bool]]") -> None:
            if written.exception() is not None:  # the store is closed
                return
            for suspect, waits in zip(suspects, written.result(), strict=True):
                if not waits:  # it was canceled
                    group.members.pop((suspect.job_id, suspect.attempt), None)
            self._processes.kill_if_done(worker)

        self._store.admit(suspects).add_done_callback(admitted)

    def take(self, key: AttemptKey) -> tuple[Worker, Suspect] | None:
        """Where this suspect, which was claimed, runs; None if its process has died meanwhile."""
        group = self._quarantine.find(key)
        worker = next((one for one in self._processes.workers if one.group is group and not one.gone), None)
        if group is None or worker is None:
            return None
        if group.is_solo:
            asyncio.get_running_loop().call_later(SOLO_SECONDS, self._end_solo, group)
        return worker, group.members.pop(key)

    def remove(self, key: AttemptKey) -> None:
        """Its job was canceled."""
        group = self._quarantine.remove(key)
        if group is not None:
            for worker in self._processes.workers:
                if worker.group is group:
                    self._processes.kill_if_done(worker)

    def look(self, worker: Worker, group: Group) -> None:
        """Its process has said something: see whether it still needs its place among the others."""
        was_aside, group.is_aside = group.is_aside, 0 < worker.aside == len(worker.attempts) and not group.members
        if group.is_aside and not was_aside:
            self._start_groups()

    def end(self, worker: Worker, group: Group) -> None:
        """The process of this group has ended, and all that becomes of its attempts is decided."""
        self._quarantine.end_group(group, was_ready=worker.ready)
        self._start_groups()

    def _start_groups(self) -> None:
        while not self._processes.is_stopping and (group := self._quarantine.take_group()) is not None:
            self._processes.start_group(group)

    def _end_solo(self, group: Group) -> None:
        group.is_solo = False
        self._start_groups()
