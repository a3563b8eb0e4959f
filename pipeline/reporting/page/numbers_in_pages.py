"""The numbers in README.md and RESULTS.md, written from the files that their links lead to.

python -m pipeline.pages puts them in (make pages); words stay as they are, so read them again. A link's title says where in its file
the numbers of its text stand: "accuracy_mean ± accuracy_std where evaluation=x, timesteps=4" in a csv, "100 × avg_tokens where ..."
for percent, "networks.0.plain.mean.0" or "lines.evaluation=x.accuracy ± accuracy_std" in a json. Each keeps the digits that it is written
with, and its sign where a plus or minus stands before it. A table follows a comment: <!-- table: results/<scale>/tables/table1.csv -->
Table 1, <!-- table: results/<scale>/runs --> what each training took.
"""

import json
import re
from pathlib import Path

import pandas as pd

from pipeline.core import atomic_files, number_formats
from pipeline.core import record as records
from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT
from pipeline.reporting.tables import table1_formats

PAGES = ("README.md", "RESULTS.md")
LINK = re.compile(r'\[([^\]]+)\]\((results/[^)\s]+) "([^"]+)"\)')
NUMBER = re.compile(r"[+−]?\d+(?:,\d{3})*(?:\.\d+)?")
PERCENT = "100 × "
BETWEEN = re.compile(r", (?=\w+=)")  # conditions; their values may hold commas
TABLE = re.compile(r"(<!-- table: (\S+) -->\n)(?:\|.*\n)*")


def filled(page: str) -> str:
    """A page's text with the numbers, words and tables that its links name."""
    return TABLE.sub(lambda found: found[1] + table(found[2]), LINK.sub(link, page))


def link(found: re.Match) -> str:
    text, path, query = found.groups()
    values = looked_up(path, query)
    if all(isinstance(value, str) for value in values):
        return f'[{", ".join(values)}]({path} "{query}")'
    if len(NUMBER.findall(text)) != len(values):
        raise UserError(f"[{text}]({path}): it has not as many numbers as its title {query!r} names: write one for each")
    rest = iter(values)
    return f'[{NUMBER.sub(lambda old: written(next(rest), old[0]), text)}]({path} "{query}")'


def written(value: float, like: str) -> str:
    """A number with the digits, the commas and the sign of another."""
    digits = len(like.partition(".")[2])
    sign = "+" if like[0] in "+−" and round(value, digits) > 0 else ""
    return f"{sign}{round(value, digits) + 0.0:{',' if abs(value) >= 10000 or ',' in like else ''}.{digits}f}".replace("-", "−")


def looked_up(path: str, query: str) -> list:
    """What a link's title names in its file: numbers, or words. Raises UserError where it names nothing, or several things."""
    try:
        return in_json(path, query) if path.endswith(".json") else in_csv(path, query)
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{path} has no {query!r} ({type(error).__name__}: {error}): mend the link's title") from error


def in_json(path: str, query: str) -> list:
    factor, query = factor_of(query)
    value = json.loads((ROOT / path).read_text())
    *keys, last = query.split(".")
    for key in keys:
        value = item(value, key)
    found = [item(value, key) for key in last.split(" ± ")]
    return [one if isinstance(one, str) else factor * one for one in found]


def item(values: dict | list, key: str):
    """One of a mapping; or of a list: by its place, or the only one with some values, "evaluation=x, timesteps=4"."""
    if isinstance(values, dict):
        return values[key]
    if "=" not in key:
        return values[int(key)]
    wanted = [condition.partition("=") for condition in BETWEEN.split(key)]
    found = [value for value in values if all(str(value[name]) == word for name, _, word in wanted)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} of its items have it")
    return found[0]


def in_csv(path: str, query: str) -> list:
    factor, query = factor_of(query)
    columns, _, where = query.partition(" where ")
    lines = pd.read_csv(ROOT / path)
    for condition in filter(None, BETWEEN.split(where)):
        key, _, wanted = condition.partition("=")
        column = lines[key]
        lines = lines[column == float(wanted) if pd.api.types.is_numeric_dtype(column) else column.fillna("") == wanted]
    if len(lines) != 1:
        raise ValueError(f"{len(lines)} lines have it")
    values = [lines.iloc[0][column] for column in columns.split(" ± ")]
    if any(pd.isna(value) for value in values):
        raise ValueError("the cell is empty")
    return [value if isinstance(value, str) else factor * float(value) for value in values]


def factor_of(query: str) -> tuple[float, str]:
    return (100.0, query.removeprefix(PERCENT)) if query.startswith(PERCENT) else (1.0, query)


def table(path: str) -> str:
    """The GitHub table of a comment."""
    rows = table1(path) if path.endswith(".csv") else trainings(path)
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def table1(path: str) -> list[list[str]]:
    """What readers see of Table 1, without the origins and the runs of its rows."""
    seen = table1_formats.cells(pd.read_csv(ROOT / path))
    return [[table1_formats.HEADINGS[key] for key in seen], *(list(row) for row in seen.itertuples(index=False))]


def trainings(path: str) -> list[list[str]]:
    """What each training of a folder of runs took, and on what; its name leads to its record."""
    found = [["training", "epochs", "time", "images/s", "on"]]
    for done in sorted((ROOT / path).glob("*/done.json")):
        told = atomic_files.read_json(done, "epochs", "seconds")
        entries = records.read(done.with_name("record.jsonl"))
        last = [entry for entry in entries if entry["event"] == "epoch"][-1]["metrics"]
        made = entries[0]["provenance"]
        on = f"{made['device']}, {made['threads']} thread{'s' if made['threads'] > 1 else ''}, {made['precision']}"
        name = f"[{done.parent.name}]({path}/{done.parent.name}/record.jsonl)"
        took = number_formats.duration(told["seconds"])
        found.append([name, str(told["epochs"]), took, f"{last['images_per_second']:.0f}", on])
    return found


def fill_pages() -> list[str]:
    """Write the numbers of every page; a line on each."""
    lines = []
    for name in PAGES:
        path: Path = ROOT / name
        atomic_files.replace(path, filled(path.read_text()))
        lines.append(f"{name}: {len(LINK.findall(path.read_text()))} links to results")
    return lines
