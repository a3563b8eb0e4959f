"""Stage 6: one self-contained page with table, figures, curves, declaration and environment.

python -m pipeline.report --scale smoke writes results/smoke/report.html.
"""

import argparse
import base64
import io
from pathlib import Path

import pandas as pd
import yaml
from markupsafe import Markup

from pipeline import record as records
from pipeline import render, tracking
from pipeline.aggregate import epochs_of, evaluation_files, mark_made, record_of
from pipeline.campaign import Campaign, common_arguments, open_campaign
from pipeline.errors import UserError, run_stage
from pipeline.figures import COLOURS


def report(campaign: Campaign) -> Path:
    tables = campaign.folder / "tables"
    for name in ("table1.csv", "savings.csv", "curves.csv"):
        if not (tables / name).exists():
            raise UserError(f"{tables / name} is missing: run snakemake, which makes it, or python -m pipeline.aggregate first")
    links, saved = evaluation_files(campaign), pd.read_csv(tables / "savings.csv")
    content = (
        render.environment()
        .get_template("report.html.j2")
        .render(
            experiment=campaign.experiment,
            note=render.note(campaign),
            table1=Markup(render.html(pd.read_csv(tables / "table1.csv"), links, "")),
            savings=saved.to_dict("records"),
            paper_savings=saved.paper_fewer_tokens.notna().any(),
            figures=[figure_facts(campaign, name) for name in campaign.experiment.figures],
            curves=embedded(draw_curves(pd.read_csv(tables / "curves.csv"))),
            speed=(campaign.folder / "bench" / "index.html").exists(),
            runs=[run_facts(campaign, run) | {"results": links.get(run.id)} for run in campaign.runs],
            evaluations=evaluation_facts(campaign),
            declaration=yaml.safe_dump(
                campaign.experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=130
            ),
        )
    )
    path = campaign.folder / "report.html"
    records.replace(path, content)
    mark_made(campaign, "report")
    tracking.show_products(campaign)
    return path


def run_facts(campaign: Campaign, run) -> dict:
    done = records.read_json(campaign.run_folder(run) / "done.json")
    made, last = record_of(campaign, run)[0]["provenance"], epochs_of(campaign, run)[-1]["metrics"]
    return {"run": run, "done": done, "made": made, "last": last}


def evaluation_facts(campaign: Campaign) -> list[dict]:
    """Every evaluation with its numbers and its file."""
    links = evaluation_files(campaign)
    return [
        {"evaluation": e, "metrics": tracking.evaluation_entries(campaign, e)[-1]["metrics"], "file": links[e.run.id]}
        for e in campaign.evaluations
    ]


def figure_facts(campaign: Campaign, name: str) -> dict:
    path = campaign.folder / "figures" / f"{name}.png"
    numbers = records.read_json(path.with_suffix(".json"))
    return {"name": name, "title": numbers["title"], "caption": numbers["caption"], "picture": embedded(path.read_bytes())}


def draw_curves(curves: pd.DataFrame) -> bytes:
    """Loss, held-out accuracy and average tokens over epochs, a line per run, a colour per label: a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    labels = list(curves.label.unique())
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.2 + 0.16 * len(labels) / 4), layout="constrained")
    drawn = set()
    for (_, label), run in curves.groupby(["run", "label"], sort=False):
        style = {"color": COLOURS[labels.index(label) % len(COLOURS)], "label": "" if label in drawn else label}
        drawn.add(label)
        for axis, key in zip(axes, ("train_loss", "heldout_accuracy", "average_tokens")):
            points = run.dropna(subset=key)
            axis.plot(points.epoch, points[key], marker=".", alpha=0.8, **style)
    for axis, title in zip(axes, ("training loss", "held-out accuracy (%)", "average tokens (share of 64)")):
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    axes[-1].set_ylim(0, 1.05)
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=7, ncols=4, loc="outside lower center")
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
