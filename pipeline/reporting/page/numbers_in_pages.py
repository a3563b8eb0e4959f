"""Write the numbers in README.md, RESULTS.md and docs/speed.md from the files that their links lead to.

The command is pipeline.pages, whose text says how it is used and by which rules.
"""

import json
import re
from pathlib import Path

import pandas as pd

from pipeline.core import atomic_files, number_formats
from pipeline.core import record as records
from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT
from pipeline.reporting.page.speed_table import speed_rows
from pipeline.reporting.tables import table1_formats

PAGES = ("README.md", "RESULTS.md", "docs/speed.md")
UP = "../"  # how a link of a page in docs/ begins
LINK = re.compile(r'\[([^\]]+)\]\(((?:\.\./)?results/[^)\s]+) "([^"]+)"\)')
NUMBER = re.compile(r"[+−]?\d+(?:,\d{3})*(?:\.\d+)?")
PERCENT = "100 × "
BETWEEN_CONDITIONS = re.compile(r", (?=\w+=)")  # values may hold commas
TABLE = re.compile(r"(<!-- table: (\S+) -->\n)(?:\|.*\n)*")


def filled(page: str) -> str:
    """Fill in a page: the numbers, words and tables that its links and comments name. Raises UserError where one can't be."""
    return TABLE.sub(lambda comment: comment[1] + markdown_table(comment[2]), LINK.sub(filled_link, page))


def filled_link(link: re.Match) -> str:
    """Write a link again, its text with the numbers or words that its title names."""
    text, path, query = link.groups()
    values = look_up(path, query)
    if all(isinstance(value, str) for value in values):
        return f'[{", ".join(values)}]({path} "{query}")'
    if len(NUMBER.findall(text)) != len(values):
        raise UserError(f"[{text}]({path}): it has not as many numbers as its title {query!r} names: write one for each")
    rest = iter(values)
    return f'[{NUMBER.sub(lambda old: written_like(next(rest), old[0]), text)}]({path} "{query}")'


def written_like(value: float, like: str) -> str:
    """Write a number with the digits, the commas and the sign of another."""
    digits = len(like.partition(".")[2])
    sign = "+" if like[0] in "+−" and round(value, digits) > 0 else ""
    return f"{sign}{round(value, digits) + 0.0:{',' if abs(value) >= 10000 or ',' in like else ''}.{digits}f}".replace("-", "−")


def look_up(path: str, query: str) -> list:
    """Look up the numbers or words that a link's title names in its file. Raises UserError where it names nothing, or several."""
    path = path.removeprefix(UP)
    try:
        return json_values(path, query) if path.endswith(".json") else csv_values(path, query)
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{path} has no {query!r} ({type(error).__name__}: {error}): mend the link's title") from error


def json_values(path: str, query: str) -> list:
    """Follow a path of keys into a JSON file, "lines.evaluation=x.accuracy ± accuracy_std"; numbers times the query's factor."""
    factor, query = factor_of(query)
    value = json.loads((ROOT / path).read_text(encoding="utf-8"))
    *keys, last = query.split(".")
    for key in keys:
        value = item(value, key)
    values = [item(value, key) for key in last.split(" ± ")]
    return [value if isinstance(value, str) else factor * value for value in values]


def item(values: dict | list, key: str):
    """Take an item: of a mapping by key; of a list by place, or the only one with some values, "evaluation=x, timesteps=4"."""
    if isinstance(values, dict):
        return values[key]
    if "=" not in key:
        return values[int(key)]
    wanted = [condition.partition("=") for condition in BETWEEN_CONDITIONS.split(key)]
    matches = [value for value in values if all(str(value[name]) == word for name, _, word in wanted)]
    if len(matches) != 1:
        raise ValueError(f"{len(matches)} of its items have it")
    return matches[0]


def csv_values(path: str, query: str) -> list:
    """Take columns of the only row of a CSV file that meets the query's conditions; numbers times its factor."""
    factor, query = factor_of(query)
    columns, _, where = query.partition(" where ")
    rows = pd.read_csv(ROOT / path)
    for condition in filter(None, BETWEEN_CONDITIONS.split(where)):
        key, _, wanted = condition.partition("=")
        column = rows[key]
        rows = rows[column == float(wanted) if pd.api.types.is_numeric_dtype(column) else column.fillna("") == wanted]
    if len(rows) != 1:
        raise ValueError(f"{len(rows)} lines have it")
    values = [rows.iloc[0][column] for column in columns.split(" ± ")]
    if any(pd.isna(value) for value in values):
        raise ValueError("the cell is empty")
    return [value if isinstance(value, str) else factor * float(value) for value in values]


def factor_of(query: str) -> tuple[float, str]:
    """Split a query into its factor, 100 for percent or 1, and the rest."""
    return (100.0, query.removeprefix(PERCENT)) if query.startswith(PERCENT) else (1.0, query)


def markdown_table(path: str) -> str:
    """Write the GitHub table that a comment names by its path."""
    rows = table1_rows(path) if path.endswith(".csv") else speed_rows(path) if "/bench" in path else training_rows(path)
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def table1_rows(path: str) -> list[list[str]]:
    """Read the cells of Table 1, headings first, without the origins and the runs of its rows."""
    texts = table1_formats.cells(pd.read_csv(ROOT / path))
    return [[table1_formats.HEADINGS[key] for key in texts], *(list(row) for row in texts.itertuples(index=False))]


def training_rows(path: str) -> list[list[str]]:
    """List the trainings of a folder of runs: epochs, time, speed and machine, headings first; a name links to its record."""
    rows = [["training", "epochs", "time", "images/s", "on"]]
    for done_file in sorted((ROOT / path).glob("*/done.json")):
        done = atomic_files.read_json(done_file, "epochs", "seconds")
        entries = records.read(done_file.with_name("record.jsonl"))
        last = [entry for entry in entries if entry["event"] == "epoch"][-1]["metrics"]
        machine = entries[0]["provenance"]
        on = f"{machine['device']}, {machine['threads']} thread{'s' if machine['threads'] > 1 else ''}, {machine['precision']}"
        name = f"[{done_file.parent.name}]({path}/{done_file.parent.name}/record.jsonl)"
        time = number_formats.duration(done["seconds"])
        rows.append([name, str(done["epochs"]), time, f"{last['images_per_second']:.0f}", on])
    return rows


def fill_pages() -> list[str]:
    """Write the numbers of every page; return a line on each."""
    lines = []
    for name in PAGES:
        path: Path = ROOT / name
        atomic_files.replace(path, filled(path.read_text(encoding="utf-8")))
        links = LINK.findall(path.read_text(encoding="utf-8"))
        lines.append(f"{name}: {len(links)} links to results")
    return lines
