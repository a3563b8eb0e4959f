"""Schedule jobs that wait for each other, on one device or several: the longest chain, and the hours they take together."""
# Tested in tests/pipeline/planning/test_plan.py

import heapq
from collections import defaultdict
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """A job and its hours. `after`: the name of the job that ends before it begins, which stands before it in a list."""

    name: str
    hours: float
    after: str | None = None


def longest_chain(jobs: list[Job]) -> list[Job]:
    """Find the chain of jobs, each after the one before, that takes longest; jobs that take no time are left out of it."""
    job_of_name, ends = {job.name: job for job in jobs}, {}
    for job in jobs:
        ends[job.name] = job.hours + ends.get(job.after, 0.0)
    name, chain = max(ends, key=ends.get, default=None), []
    while name in job_of_name:
        chain.append(job_of_name[name])
        name = job_of_name[name].after
    return [job for job in reversed(chain) if job.hours]


def wall_hours(jobs: list[Job], devices: int) -> float:
    """Compute the hours until all jobs are done, with `devices` of them at once.

    Of the jobs that can begin, the one with the most hours ahead, its own and those of its longest chain of followers, is first.
    """
    followers = defaultdict(list)
    names = {job.name for job in jobs}
    for job in jobs:
        followers[job.after if job.after in names else None].append(job)
    hours_ahead: dict[str, float] = {}
    for job in reversed(jobs):
        hours_ahead[job.name] = job.hours + max((hours_ahead[later.name] for later in followers[job.name]), default=0.0)
    ready = [(-hours_ahead[job.name], job.name, job.hours) for job in followers[None]]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < devices:
            _, name, hours = heapq.heappop(ready)
            heapq.heappush(running, (now + hours, name))
        now, ended = heapq.heappop(running)
        for job in followers[ended]:
            heapq.heappush(ready, (-hours_ahead[job.name], job.name, job.hours))
    return now
