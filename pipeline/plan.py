"""What a campaign costs, before and while it runs: jobs, hours by measured throughput, the longest chain, disk, what is done.

python -m pipeline.plan --scale paper --gpus 8, or make plan SCALE=paper GPUS=8. Imports no torch. Hours are those of one device,
which is named; what was not measured has none, and the totals without it say "at least".
"""

import argparse
import json

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import UserError, run_stage
from pipeline.planning.plan import open_plan, plan
from pipeline.planning.plan_text import text


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.plan", description=__doc__.split("\n\n")[0])
    common_arguments(parser)
    parser.add_argument("--gpus", type=int, default=1, metavar="N", help="devices that work at once (default: 1)")
    parser.add_argument("--device", metavar="NAME", help="where several were measured: whose hours are told, a part of its name")
    parser.add_argument("--json", action="store_true", help="everything as JSON")
    options = parser.parse_args()
    if options.gpus < 1:
        raise UserError(f"--gpus {options.gpus}: name how many devices work at once, 1 or more")
    campaign, doubt = open_plan(open_campaign(options.scale, options.data))
    told = plan(campaign, options.gpus, options.device)
    told["notes"] = [*([doubt] if doubt else []), *told["notes"]]
    print(json.dumps(told, indent=1, ensure_ascii=False) if options.json else text(told))


if __name__ == "__main__":
    run_stage(main, "plan")
