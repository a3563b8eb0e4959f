"""Stage 5: a figure of the declaration, from evaluations.  python -m pipeline.figure --scale smoke --figure NAME

Writes figures/NAME.svg, .pdf and .json (the numbers, the caption, the evaluations shown). A figure that lacks its data
says so in all three and stops nothing else.
"""

import argparse
import os
import sys
import traceback

from pipeline import canvas
from pipeline.campaign import Campaign, common_arguments, open_campaign
from pipeline.discovery import discovered
from pipeline.errors import UserError, nearest, run_stage
from pipeline.identity import Evaluation
from pipeline.made import mark_made
from pipeline.record import replace_json


def draw(campaign: Campaign, name: str) -> dict:
    if name not in campaign.experiment.figures:
        raise UserError(
            f"figure {name!r} is not in scale {campaign.experiment.scale!r}: {nearest(name, campaign.experiment.figures)}"
        )
    evaluations = [e for wanted in campaign.experiment.figures[name].evaluations for e in campaign.named(wanted)]
    module = discovered("pipeline.figures", name, "figure")
    picture, numbers = painted(campaign, module, name, evaluations)
    numbers = {
        "title": module.TITLE,
        "definition": module.DEFINITION,
        "scale": campaign.experiment.scale,
        "missing": None,
    } | numbers
    numbers |= {
        "made": how_made(evaluations),
        "evaluations": [{"id": e.id, "name": e.name, "run": e.run.id} for e in evaluations],
    }
    canvas.save(picture, campaign.folder / "figures" / name)
    replace_json(campaign.folder / "figures" / f"{name}.json", numbers)
    mark_made(campaign, name)
    return numbers


def painted(campaign: Campaign, module, name: str, evaluations: list[Evaluation]) -> tuple:
    """The picture and its numbers, or words that say what is missing."""
    try:
        for path in campaign.figure_inputs(name):
            if not os.path.exists(path):
                raise UserError(f"{path} is missing: run snakemake, which makes it, or evaluate first")
        return module.draw(campaign, evaluations)
    except UserError as error:
        reason = str(error)
    except Exception as error:  # a fault in one figure is no reason to have none
        traceback.print_exc(file=sys.stderr)
        reason = f"{type(error).__name__}: {error}"
    canvas.pyplot().close("all")
    picture, axes = canvas.panels(width=6.4, height=1.2)
    canvas.notice(axes[0, 0], f"Not drawn: {reason}")
    return picture, {"missing": reason, "caption": f"Not drawn: {reason}"}


def how_made(evaluations: list[Evaluation]) -> str:
    """Which networks of a figure were trained as they are shown, and which only evaluated otherwise: a caption's last sentence."""
    probed = "measured on trained weights, nothing retrained"
    kinds: dict[str, list[str]] = {"trained as shown": [], "same weights evaluated with other options": [], probed: []}
    for evaluation in evaluations:
        kind = probed if evaluation.probe else "trained as shown"
        if not evaluation.probe and evaluation.options != evaluation.run.options:
            kind = "same weights evaluated with other options"
        kinds[kind].append(evaluation.run.label if kind == probed else evaluation.name)
    said = [f"{kind}: {', '.join(dict.fromkeys(names))}" for kind, names in kinds.items() if names]
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}." if text else "Computed from the formulas alone: no training, no evaluation."


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.figure", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--figure", metavar="NAME", required=True)
    options = parser.parse_args()
    print(draw(open_campaign(options.scale, options.data), options.figure)["caption"])


if __name__ == "__main__":
    run_stage(main, "figure")
