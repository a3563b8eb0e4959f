"""Keep packages of other programs and a home without room for caches from disturbing a process.

It takes effect when it is imported: by `pipeline`, before all else of it, and, by the link that make puts into the environment, when
any program of that starts, Snakemake for one. So it imports nothing that Python has not imported by then.
"""

import os
import site
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def put_own_packages_first() -> None:
    """Search the places that PYTHONPATH names, and the user's own, after Python's packages and the environment's.

    A place that holds a sitecustomize.py alone stays where it is: that is meant to come before all else. PYTHONSAFEPATH is unset for
    the stages that Snakemake starts: `python -m` would not find them.
    """
    listed = os.environ.get("PYTHONPATH")
    others = {os.path.abspath(place) for place in listed.split(os.pathsep)} if listed else set()
    if site.ENABLE_USER_SITE:
        others.add(site.getusersitepackages())
    others -= {ROOT, *site.getsitepackages()}
    others -= {place for place in others if holds_customization_alone(place)}
    sys.path.sort(key=lambda place: place in others)
    os.environ.pop("PYTHONSAFEPATH", None)


def holds_customization_alone(place: str) -> bool:
    """Tell whether a folder has a sitecustomize.py, and no package that could take the place of another."""
    try:
        return {"sitecustomize.py"} <= set(os.listdir(place)) <= {"sitecustomize.py", "usercustomize.py", "__pycache__"}
    except OSError:
        return False


def keep_caches_where_they_can_be() -> None:
    """Name folders of the project in XDG_CACHE_HOME and MPLCONFIGDIR where the usual ones can't be made or written."""
    home, own = os.path.expanduser("~"), os.path.join(ROOT, ".cache")
    usual = {
        "XDG_CACHE_HOME": (os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"), own),
        "MPLCONFIGDIR": (os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), os.path.join(own, "matplotlib")),
    }
    if os.environ.get("MPLCONFIGDIR"):
        del usual["MPLCONFIGDIR"]
    for variable, (folder, instead) in usual.items():
        if not can_hold(folder) and can_hold(instead):
            os.environ[variable] = instead


def can_hold(folder: str) -> bool:
    """Make a folder where it is missing, and tell whether files can be made in it. A relative one would be another in each folder."""
    try:
        if os.path.isabs(folder):
            os.makedirs(folder, exist_ok=True)
            return os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        pass
    return False


put_own_packages_first()
keep_caches_where_they_can_be()
