"""The faults that `make faults` tried, and what came of them: what the report says, from results/faults.jsonl, the log of its runs."""

import json
from collections import Counter

from pipeline.campaign.campaign import FAULTS
from pipeline.core.errors import UserError

SAME = "the same numbers"


def tried() -> list[dict]:
    """A row for each kind: `fault`, `times`, `outcome`, whether that is the `same` numbers, `said`; none where nothing was tried.

    Raises UserError for a damaged log.
    """
    if not FAULTS.exists():
        return []
    try:
        entries = [json.loads(line) for line in FAULTS.read_text().splitlines()]
        return [row | {"same": row["outcome"] == SAME} for row in (*kills(entries), *scenarios(entries))]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{FAULTS} is damaged ({error}): delete it, or run make faults, which makes it again") from error


def kills(entries: list[dict]) -> list[dict]:
    """Kills and what was damaged with them, compared once at the end of each series."""
    faults = [entry for entry in entries if entry["event"] == "fault"]
    counts = Counter(f"{entry['how']}: {' and '.join(dict.fromkeys(entry['struck']))}" for entry in faults)
    damages = Counter(entry["damaged"].partition(" at ")[0] for entry in faults if entry["damaged"])
    compared = [entry for entry in entries if entry["event"] == "compared"]
    differ = sorted({name for entry in compared for name in [*entry["differ"], *filter(None, [entry["logged_twice"]])]})
    result = outcome(differ) if compared else "not compared: the series was cut off"
    rows = [*sorted(counts.items()), *sorted((f"with a kill: {name}", count) for name, count in damages.items())]
    return [{"fault": name, "times": count, "outcome": result, "said": ""} for name, count in rows]


def scenarios(entries: list[dict]) -> list[dict]:
    """Those that were tried, those that the machine did not allow, and those that were to come when the series was cut off."""
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
    return f"differs: {', '.join(differ)}" if differ else SAME
