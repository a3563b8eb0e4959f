"""Read which faults `make faults` tried, and their outcomes, from results/faults.jsonl, the log of its runs, for the report."""

import json
from collections import Counter

from pipeline.campaign.shown_files import FAULTS
from pipeline.core.errors import UserError

SAME = "the same numbers"


def read_faults() -> list[dict]:
    """Make a row per kind of fault: `fault`, `times`, `outcome`, `same` (the numbers are), `said`; none where nothing was tried.

    Raises UserError for a damaged log.
    """
    if not FAULTS.exists():
        return []
    try:
        entries = [json.loads(line) for line in FAULTS.read_text(encoding="utf-8").splitlines()]
        return [row | {"same": row["outcome"] == SAME} for row in (*kills(entries), *scenarios(entries))]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{FAULTS} is damaged ({error}): delete it, or run make faults, which makes it again") from error


def kills(entries: list[dict]) -> list[dict]:
    """Count kills and the damages done with them; their outcome is compared once, at the end of each series."""
    faults = [entry for entry in entries if entry["event"] == "fault"]
    counts = Counter(f"{entry['how']}: {' and '.join(dict.fromkeys(entry['struck']))}" for entry in faults)
    damages = Counter(entry["damaged"].partition(" at ")[0] for entry in faults if entry["damaged"])
    compared = [entry for entry in entries if entry["event"] == "compared"]
    differ = sorted({name for entry in compared for name in [*entry["differ"], *filter(None, [entry["logged_twice"]])]})
    common_outcome = outcome(differ) if compared else "not compared: the series was cut off"
    rows = [*sorted(counts.items()), *sorted((f"with a kill: {name}", count) for name, count in damages.items())]
    return [{"fault": name, "times": count, "outcome": common_outcome, "said": ""} for name, count in rows]


def scenarios(entries: list[dict]) -> list[dict]:
    """List the scenarios: tried, not tried because the machine did not allow it, and not reached when the series was cut off."""
    done = {entry["fault"] for entry in entries if entry["event"] in ("scenario", "not tried")}
    planned = [name for entry in entries if entry["event"] == "planned" for name in entry["faults"]]
    rows = [{"fault": name, "times": 0, "outcome": "not reached", "said": ""} for name in planned if name not in done]
    for entry in entries:
        if entry["event"] == "scenario":
            rows.append({"fault": entry["fault"], "times": 1, "outcome": outcome(entry["differ"]), "said": entry["said"]})
        elif entry["event"] == "not tried":
            rows.append({"fault": entry["fault"], "times": 0, "outcome": f"not tried: {entry['why']}", "said": ""})
    return sorted(rows, key=lambda row: row["fault"])


def outcome(differ: list[str]) -> str:
    """Say which files differ, or that the numbers are the same."""
    return f"differs: {', '.join(differ)}" if differ else SAME
