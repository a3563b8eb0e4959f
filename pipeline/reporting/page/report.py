"""Write one self-contained page with tables, figures, curves, declaration and environment.

The command is pipeline.report, whose text says how it is used and by which rules.
"""

import base64
import re
import time
from pathlib import Path

import pandas as pd
import yaml
from markupsafe import Markup

from pipeline.campaign import recorded
from pipeline.campaign.campaign import FIGURE_KINDS, Campaign
from pipeline.campaign.freshness import mark_made
from pipeline.campaign.identity import Evaluation
from pipeline.campaign.recorded import epochs_of
from pipeline.campaign.shown_files import speed_files
from pipeline.campaign.titles import data_title
from pipeline.core import atomic_files, number_formats
from pipeline.core.energy_units import CONVENTIONS, PJ_PER_UJ
from pipeline.core.errors import UserError
from pipeline.core.record import is_provenance
from pipeline.mirror import fill
from pipeline.reporting import html_templates
from pipeline.reporting.drawing import campaign_results, training_curves
from pipeline.reporting.drawing.canvas import MODULES
from pipeline.reporting.page import faults
from pipeline.reporting.tables import table1_formats
from pipeline.reporting.tables.aggregate import evaluation_files
from pipeline.reporting.tables.readings import describe, name_of
from pipeline.reporting.tables.savings import COLUMNS as SAVED
from pipeline.reporting.tables.table1 import COLUMNS

# Columns that each table must have
REQUIRED_COLUMNS = {"table1": COLUMNS, "savings": SAVED, "energy": ("module", "evaluation"), "curves": ("run", "epoch")}
WORDS = ("title", "caption", "definition", "made", "missing")  # texts among a figure's numbers
SHARES = {"tokens_by_block": "computed", "merged_by_block": "merged away", "halted_by_block": "halted"}
VERDICTS = {"holds": ("✓", "holds"), "doesn't hold": ("✗", "fails"), "can't tell at this scale": ("?", "open")}
PX_PER_PT = 4 / 3
PAPERS_FIGURE = re.compile(r"(?<=\()Fig[^()]*(?=\))")  # at the end of a figure's title
SIZE = re.compile(r'\b(width|height)="([\d.]+)pt"')  # as matplotlib writes it


def report(campaign: Campaign) -> Path:
    """Write a campaign's report; return its path. Raises UserError where a table is missing or damaged."""
    tables = {
        name: campaign_results.read_table(campaign, name, *columns, empty=name == "savings")
        for name, columns in REQUIRED_COLUMNS.items()
    }
    runs, evaluations = run_facts(campaign), evaluation_facts(campaign)
    content = {
        "experiment": campaign.experiment,
        "note": table1_formats.note(campaign),
        "table1": Markup(table1_formats.html(tables["table1"], evaluation_files(campaign), "")),
        "gaps": tables["table1"].gap.notna().any(),
        "savings": tables["savings"].to_dict("records"),
        "paper_savings": tables["savings"].paper_fewer_tokens.notna().any(),
        "claims": claim_groups(campaign),
        "verdicts": VERDICTS,
        "figures": [figure_facts(campaign, name) for name in campaign.experiment.figures],
        "curves": picture(training_curves.draw(campaign, tables["curves"])),
        "blocks": block_rows(evaluations),
        "evaluations": evaluations,
        "energy": energy_rows(campaign, tables["energy"]),
        "modules": [name for name in MODULES if name in set(tables["energy"].module)],
        "runs": runs,
        "facts": headline(campaign, runs),
        "faults": faults.read_faults(),
        "speed": {path.parent.name: path.relative_to(campaign.folder) for path in speed_files(campaign.folder, "index.html")},
        "declaration": yaml.safe_dump(
            campaign.experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110
        ),
    }
    path = campaign.folder / "report.html"
    atomic_files.replace(path, html_templates.environment().get_template("report.html.j2").render(content))
    mark_made(campaign, "report")
    fill.show_products(campaign)
    return path


def headline(campaign: Campaign, runs: list[dict]) -> dict[str, str]:
    """Summarise the campaign for the head of the page: trainings, evaluations, images, device, time, date."""
    evaluations, first = campaign.evaluations, runs[0]["made"]
    seeds = sorted({run.seed for run in campaign.runs})
    probes = sum(bool(e.probe) for e in evaluations)
    counts = {provenance["data"]["title"]: provenance["data"]["counts"] for provenance in (r["made"] for r in runs)}
    threads = f"{first['threads']} thread{'s' if first['threads'] > 1 else ''}"
    last = max(float(entry["time"]) for e in evaluations for entry in recorded.evaluation_entries(campaign, e))
    return {
        "Trainings": f"{len(runs)}, {'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}",
        "Evaluations": str(len(evaluations) - probes) + (f", and {probes} probes" if probes else ""),
        "Images": "; ".join(f"{name}: {c['train']:,} to train on, {c['test']:,} to test" for name, c in counts.items()),
        "Device": "; ".join(dict.fromkeys(r["made"]["device"] for r in runs)) + f", {threads}, {first['precision']}",
        "Training in all": number_formats.duration(sum(r["done"]["seconds"] for r in runs)),
        "Measured": time.strftime("%-d %B %Y", time.gmtime(last)),
    }


def run_facts(campaign: Campaign) -> list[dict]:
    """Collect for every training its provenance, how it ended, its last epoch's metrics, and the file of its evaluations."""
    links, facts = evaluation_files(campaign), []
    for run in campaign.runs:
        done = atomic_files.read_json(campaign.run_folder(run) / "done.json", "epochs", "seconds")
        provenance = provenance_of(recorded.record_of(campaign, run))
        last = epochs_of(campaign, run)[-1]["metrics"]
        facts.append({"run": run, "done": done, "made": provenance, "last": last, "results": links.get(run.id)})
    return facts


def provenance_of(entries: list[dict]) -> dict:
    """Take a record's provenance at its start, with the kernels of every attempt: another machine may have gone on with its own."""
    attempts = [entry["provenance"] for entry in entries if is_provenance(entry.get("provenance"))]
    return attempts[0] | {"kernels": ", then ".join(dict.fromkeys(attempt["kernels"] for attempt in attempts))}


def evaluation_facts(campaign: Campaign) -> list[dict]:
    """Collect for every evaluation that is no probe its names, its metrics and its file."""
    links = evaluation_files(campaign)
    return [
        describe(campaign, e)
        | {"metrics": recorded.evaluation_entries(campaign, e)[-1]["metrics"], "file": links[e.run.id]}
        | {"exits": {name: name_of(campaign, name, e)["title"] for name in e.exits}}
        for e in campaign.evaluations
        if not e.probe
    ]


def block_rows(evaluations: list[dict]) -> list[dict]:
    """Average each block's shares of tokens over seeds: a row per evaluation that does not compute all tokens."""
    rows = []
    for name in dict.fromkeys(e["evaluation"] for e in evaluations):
        seeds = [e for e in evaluations if e["evaluation"] == name]
        if min(e["metrics"]["average_tokens"] for e in seeds) < 1:
            shares = {title: pd.DataFrame(e["metrics"][key] for e in seeds).mean().tolist() for key, title in SHARES.items()}
            rows.append(seeds[0] | {"seeds": seeds, "shares": shares})
    return rows


def energy_rows(campaign: Campaign, layers: pd.DataFrame) -> list[dict]:
    """Average the energy of each evaluation over its seeds, in uJ per image: by module, and in all by each convention."""
    rows = []
    for name, evaluation_layers in layers.groupby("evaluation", sort=False):
        by_seed = evaluation_layers.groupby("seed")[[f"pJ_{kind}" for kind in CONVENTIONS]].sum() / PJ_PER_UJ
        first = evaluation_layers.iloc[0].to_dict() | {
            "dataset_title": data_title(campaign.catalogue, evaluation_layers.dataset.iloc[0])
        }
        first |= {f"{kind}_mean": by_seed[f"pJ_{kind}"].mean() for kind in CONVENTIONS}
        first |= {f"{kind}_std": by_seed[f"pJ_{kind}"].std() for kind in CONVENTIONS}
        modules = evaluation_layers.groupby("module").pJ_nonzero.sum() / PJ_PER_UJ / len(by_seed)
        rows.append(first | {"evaluation": name, "n": len(by_seed), "modules": modules.to_dict()})
    for row in rows:
        row["share"] = row["nonzero_mean"] / max(r["nonzero_mean"] for r in rows if r["dataset"] == row["dataset"])
    return rows


def claim_groups(campaign: Campaign) -> list[list[dict]]:
    """Read the rows of tables/claims.csv, those of one claim together; none where there is no such table."""
    path = campaign.folder / "tables" / "claims.csv"
    if not path.exists():
        return []
    columns = ("claim", "verdict", "value", "spread", "unit", "stated", "evidence")
    rows = campaign_results.read_table(campaign, "claims", *columns, keep_default_na=False, dtype=str).to_dict("records")
    for row in rows:
        row["here"], row["paper"] = (
            amount(row["value"], row["spread"], row["unit"]),
            amount(row["stated"], "", row["unit"]),
        )
        row["link"], row["shown"] = evidence_of(campaign, row["evidence"])
    return [[row for row in rows if row["claim"] == name] for name in dict.fromkeys(row["claim"] for row in rows)]


def amount(value: str, spread: str, unit: str) -> str:
    """Format a number of the table with its spread and unit; words stay as they are."""
    numbers = [short(part) for part in (value, spread) if part]
    return f"{' ± '.join(numbers)} {unit}".strip() if numbers else ""


def short(value: str) -> str:
    """Round a number to three digits; words stay as they are."""
    try:
        return f"{float(value):.3g}".replace("-", "−")
    except ValueError:
        return value


def evidence_of(campaign: Campaign, evidence: str) -> tuple[str, str]:
    """Link a claim's evidence and name it: a figure of the page, a file of the campaign, or words without a link."""
    if evidence in campaign.experiment.figures:
        title = campaign.catalogue.figures[evidence].TITLE
        return f"#figure-{evidence}", PAPERS_FIGURE.findall(title)[-1] if PAPERS_FIGURE.search(title) else title
    places = (evidence, f"tables/{evidence}")
    return next((place for place in places if evidence and (campaign.folder / place).is_file()), ""), Path(evidence).name


def figure_facts(campaign: Campaign, name: str) -> dict:
    """Collect a figure's picture, texts, files and evaluations for the page; or why it is missing."""
    stem = campaign.folder / "figures" / name
    module = campaign.catalogue.figures[name]
    facts = {"name": name, "title": module.TITLE, "definition": module.DEFINITION, "files": [], "groups": {}}
    if lacking := [kind for kind in FIGURE_KINDS if not stem.with_suffix(f".{kind}").is_file()]:
        how = f"run snakemake, which makes them, or python -m pipeline.figure --scale {campaign.experiment.scale} --figure {name}"
        return facts | {"missing": f"{', '.join(f'{stem}.{kind}' for kind in lacking)} not found: {how}"}
    try:
        numbers = atomic_files.read_json(stem.with_suffix(".json"), "title", "caption")
        embedded_picture = picture(stem.with_suffix(".svg").read_bytes())
        if not all(isinstance(numbers.get(key), str | None) for key in WORDS):
            raise UserError("its words are no text")
    except UserError as error:  # a damaged figure is no reason to have no page
        return facts | {"missing": f"{stem} is damaged ({error}): delete its files, and it is drawn again"}
    facts |= {key: numbers.get(key) for key in WORDS}
    facts["files"] = [(kind, f"figures/{name}.{kind}") for kind in ("svg", "pdf", "json")]
    return facts | {"groups": evaluation_groups(campaign, numbers.get("evaluations")), "picture": embedded_picture}


def evaluation_groups(campaign: Campaign, listed) -> dict[str, list[Evaluation]]:
    """Group the evaluations that a figure lists by name, without entries that are no evaluation or no longer declared."""
    declared, links = {e.id: e for e in campaign.evaluations}, evaluation_files(campaign)
    groups: dict[str, list[dict]] = {}
    for entry in listed if isinstance(listed, list) else []:
        if evaluation := declared.get(entry.get("id") if isinstance(entry, dict) else None):
            groups.setdefault(evaluation.name, []).append({"run": evaluation.run, "file": links[evaluation.run.id]})
    return groups


def picture(svg: bytes) -> dict:
    """Embed an SVG as a data address, with its size in CSS pixels. Raises UserError where it has no size."""
    size = {key: float(x) for key, x in SIZE.findall(svg[:2000].decode(errors="replace").partition("<svg")[2])}
    if not size.keys() >= {"width", "height"}:
        raise UserError("the svg is no picture with a size")
    return {"address": embedded(svg, "svg+xml")} | {key: round(size[key] * PX_PER_PT) for key in ("width", "height")}


def embedded(picture: bytes, kind: str = "png") -> str:
    """Encode a picture as a data address; kind: the subtype of its media type."""
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode()
