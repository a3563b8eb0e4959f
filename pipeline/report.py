"""Stage 6: one self-contained page with table, figures, curves, declaration and environment.

python -m pipeline.report --scale smoke writes results/smoke/report.html.
"""

import argparse
import base64
import io
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, select_autoescape

from pipeline import record as records
from pipeline.aggregate import NOTE, mark_made
from pipeline.campaign import Campaign, common_arguments, open_campaign
from pipeline.declaration import EXPERIMENTS
from pipeline.errors import UserError, run_stage

TEMPLATE = Path(__file__).with_name("report.html.j2")


def report(campaign: Campaign) -> Path:
    table_path = campaign.folder / "tables" / "table1.csv"
    if not table_path.exists():
        raise UserError(f"{table_path} is missing: run snakemake, which makes it, or python -m pipeline.aggregate first")
    runs = [run_facts(campaign, run) for run in campaign.runs]
    page = Environment(loader=FileSystemLoader(TEMPLATE.parent), autoescape=select_autoescape(["j2"])).get_template(TEMPLATE.name)
    scale = campaign.experiment.scale
    content = page.render(
        scale=scale,
        about=campaign.experiment.about,
        note=NOTE.format(scale=scale, about=campaign.experiment.about),
        rows=pd.read_csv(table_path).to_dict("records"),
        figures=[figure_facts(campaign, name) for name in campaign.experiment.figures],
        curves=embedded(curves(campaign)),
        runs=runs,
        evaluations=[records.read_json(campaign.evaluation_folder(e) / "result.json") for e in campaign.evaluations],
        declaration=(EXPERIMENTS / f"{scale}.yaml").read_text(),
    )
    path = campaign.folder / "report.html"
    records.replace(path, content)
    mark_made(campaign, "report")
    return path


def run_facts(campaign: Campaign, run) -> dict:
    entries = records.read(campaign.run_folder(run) / "record.jsonl")
    done = records.read_json(campaign.run_folder(run) / "done.json")
    epochs = [entry for entry in entries if entry["event"] == "epoch"]
    return {
        "run": run,
        "done": done,
        "made": entries[0]["provenance"],
        "last": epochs[-1]["metrics"],
    }


def figure_facts(campaign: Campaign, name: str) -> dict:
    path = campaign.folder / "figures" / f"{name}.png"
    numbers = records.read_json(path.with_suffix(".json"))
    return {"name": name, "title": numbers["title"], "caption": numbers["caption"], "picture": embedded(path.read_bytes())}


def curves(campaign: Campaign) -> bytes:
    """Held-out accuracy and average tokens over epochs, a line per run: a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
    labels = list(campaign.experiment.runs)
    for run in campaign.runs:
        epochs = [e for e in records.read(campaign.run_folder(run) / "record.jsonl") if e["event"] == "epoch"]
        style = {
            "color": f"C{labels.index(run.label)}",
            "linestyle": "-" if run.seed == 0 else "--",
            "label": f"{run.label}, seed {run.seed}",
        }
        for axis, key in zip(axes, ("train_loss", "heldout_accuracy", "average_tokens")):
            points = [(e["epoch"], e["metrics"][key]) for e in epochs if key in e["metrics"]]
            axis.plot(*zip(*points), marker=".", **style)
    for axis, title in zip(axes, ("training loss", "held-out accuracy (%)", "average tokens (share of 64)")):
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    axes[-1].set_ylim(0, 1.05)
    axes[0].legend(fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=130, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def embedded(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.report", description=__doc__)
    common_arguments(parser)
    options = parser.parse_args()
    print(f"wrote {report(open_campaign(options.scale, options.data))}")


if __name__ == "__main__":
    run_stage(main, "report")
