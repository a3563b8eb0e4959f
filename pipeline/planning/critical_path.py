"""Jobs that wait for each other, on one device or several: the longest chain, and the time they take together."""

import heapq
from collections import defaultdict
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """`after`: the name of the job that ends before it begins, which stands before it in a list."""

    name: str
    hours: float
    after: str | None = None


def longest_chain(jobs: list[Job]) -> list[Job]:
    """The chain of jobs, each after the one before, that takes longest; those that take no time are left out of it."""
    own, ends = {job.name: job for job in jobs}, {}
    for job in jobs:
        ends[job.name] = job.hours + ends.get(job.after, 0.0)
    name, chain = max(ends, key=ends.get, default=None), []
    while name in own:
        chain.append(own[name])
        name = own[name].after
    return [job for job in reversed(chain) if job.hours]


def wall_hours(jobs: list[Job], devices: int) -> float:
    """Hours until all are done with so many devices at once: of the jobs that can begin, that with the longest way to go is first."""
    after = defaultdict(list)
    names = {job.name for job in jobs}
    for job in jobs:
        after[job.after if job.after in names else None].append(job)
    ahead: dict[str, float] = {}
    for job in reversed(jobs):
        ahead[job.name] = job.hours + max((ahead[later.name] for later in after[job.name]), default=0.0)
    ready = [(-ahead[job.name], job.name, job.hours) for job in after[None]]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < devices:
            _, name, hours = heapq.heappop(ready)
            heapq.heappush(running, (now + hours, name))
        now, ended = heapq.heappop(running)
        for job in after[ended]:
            heapq.heappush(ready, (-ahead[job.name], job.name, job.hours))
    return now
