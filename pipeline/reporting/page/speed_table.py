"""Write the table of speed for pages: rows for each kind of processor that was measured, every number a link to its file."""
# Tested in tests/pipeline/reporting/page/test_numbers_in_pages.py

import json
from pathlib import Path

from pipeline.core.paths import ROOT

HEADINGS = ["processor", "Spikformer-4-384, T = 4", "training", "memory", "of the limit", "inference", "of the limit"]
ROWS = {  # titles of what pipeline.bench measures, by its name there
    "SpikingJelly": "SpikingJelly's own, as it comes",
    "SpikingJelly, our precision and memory": "SpikingJelly's own, our precision and memory settings",
    "STATIC, plain PyTorch": "ours, plain PyTorch (no compiler)",
    "STATIC, dense products": "ours, STATIC, dense products",
    "STATIC": "ours, STATIC",
    "AT-SNN": "ours, AT-SNN (γ = 25)",
    "AT-SNN, packed": "ours, AT-SNN (γ = 25), live tokens only",
}
SHORT = ("SpikingJelly", "STATIC", "AT-SNN")
RATIO, PERCENT = "{:.2f}", "{:.0f} %"


def speed_rows(path: str) -> list[list[str]]:
    """List the cells of the table, headings first. Path: a folder bench with its kinds, for a short table, or its */ratios.json.

    A link begins with ../ where the path does.
    """
    up, folder = ("../" if path.startswith("../") else ""), path.removeprefix("../")
    names = SHORT if "*" not in folder else tuple(ROWS)
    files = sorted(ROOT.glob(folder if "*" in folder else f"{folder}/*/ratios.json"))
    return [HEADINGS, *(row for file in files for row in kind_rows(file, up, names))]


def kind_rows(file: Path, up: str, names: tuple[str, ...]) -> list[list[str]]:
    """List a kind's rows: the first names the kind; a network that was not measured has none."""
    ratios, place = json.loads(file.read_text(encoding="utf-8")), f"{up}{file.relative_to(ROOT)}"
    rows = []
    for name in names:
        cells = [
            cell(ratios, place, "speed", "train", name, RATIO),
            cell(ratios, place, "memory", "train", name, RATIO),
            cell(ratios, place, "share_of_limit", "train", name, PERCENT),
            cell(ratios, place, "speed", "infer", name, RATIO),
            cell(ratios, place, "share_of_limit", "infer", name, PERCENT),
        ]
        if any(cells):
            kind = "" if rows else f"[{file.parent.name}]({place.rpartition('/')[0]}/index.html)"
            rows.append([kind, ROWS[name], *cells])
    return rows


def cell(ratios: dict, place: str, quantity: str, job: str, name: str, form: str) -> str:
    """Write a number and its link; empty where it was not measured."""
    value = ratios[quantity].get(job, {}).get(name)
    factor, words = (100, "100 × ") if form is PERCENT else (1, "")
    return "" if value is None else f'[{form.format(factor * value)}]({place} "{words}{quantity}.{job}.{name}")'
