"""What every scenario is made of: its name, what must be so, and what a stage said."""

import re
import time
from collections.abc import Callable

from tiny import Campaign

SCENARIOS: dict[str, Callable[[Campaign], str]] = {}  # by name; each returns what was said


class NotHere(Exception):
    """This machine does not allow the fault; says why."""


def scenario(name: str):
    def register(function: Callable[[Campaign], str]):
        SCENARIOS[name] = function
        return function

    return register


class NotAsItMust(Exception):
    """What a scenario saw."""


def must(condition: bool, said: str) -> None:
    if not condition:
        raise NotAsItMust(said)


def errors(told: str) -> list[str]:
    """Lines of stages that say what is wrong; a traceback is a fault of ours."""
    must(not re.search(r"Traceback(?s:.*?)/pipeline/", told), f"a traceback:\n{told}")
    return list(dict.fromkeys(re.findall(r"^(?:pipeline\.\w+|Snakefile): error: .*$", told, re.M)))


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        must(time.monotonic() < until, f"nothing happened for {seconds} s")
        time.sleep(0.05)
