"""How many groups of suspects may have a process, and which of them count."""

from asyncjob.server.workers.quarantine import MAX_GROUPS, MAX_GROUPS_ASIDE, Group, Quarantine
from asyncjob.store import Suspect


def _groups(quarantine: Quarantine) -> list[Group]:
    groups = []
    while (group := quarantine.take_group()) is not None:
        groups.append(group)
    return groups


def test_a_group_whose_jobs_all_wait_for_others_is_in_nobodys_way_up_to_a_bound() -> None:
    quarantine = Quarantine()
    for number in range(2 * MAX_GROUPS_ASIDE):
        quarantine.add(Suspect(str(number), 1, 1))
    groups = _groups(quarantine)
    assert len(groups) == MAX_GROUPS
    groups[0].is_aside = True
    groups += _groups(quarantine)
    assert len(groups) == MAX_GROUPS + 1
    while fresh := _groups(quarantine):
        groups += fresh
        for group in groups:
            group.is_aside = True
    for group in groups:
        group.is_aside = True
    groups += _groups(quarantine)
    assert len(groups) <= MAX_GROUPS_ASIDE
    quarantine.end_group(groups[-1], was_ready=True)
    assert quarantine.take_group() is not None
