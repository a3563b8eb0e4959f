"""Estimate what a campaign costs, before and while it runs: jobs, hours by measured throughput, longest chain, disk, progress.

python -m pipeline.plan --scale paper --gpus 8, or make plan SCALE=paper GPUS=8. Imports no torch. Hours are those of one device,
which is named; a kind of job that was not measured has no hours, and totals without it say "at least".
"""
# Tested in tests/pipeline/planning/test_plan_commands.py

import argparse
import json

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import UserError, run_stage
from pipeline.planning.plan import open_plan, plan
from pipeline.planning.plan_text import text


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.plan", description=(__doc__ or "").split("\n\n")[0])
    common_arguments(parser)
    parser.add_argument("--gpus", type=int, default=1, metavar="N", help="devices that work at once (default: 1)")
    parser.add_argument("--device", metavar="NAME", help="where several were measured: whose hours are told, a part of its name")
    parser.add_argument("--json", action="store_true", help="everything as JSON")
    options = parser.parse_args()
    if options.gpus < 1:
        raise UserError(f"--gpus {options.gpus}: name how many devices work at once, 1 or more")
    campaign, doubt = open_plan(open_campaign(options.scale, options.data))
    estimate = plan(campaign, options.gpus, options.device)
    estimate["notes"] = [*([doubt] if doubt else []), *estimate["notes"]]
    print(json.dumps(estimate, indent=1) if options.json else text(estimate))


if __name__ == "__main__":
    run_stage(main, "plan")
