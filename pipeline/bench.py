"""Speed of the methods, side by side in one run: images per second relative to STATIC.

python -m pipeline.bench --scale smoke runs tests/benchmarks and writes bench/benchmark.json (pytest-benchmark's own) and
bench/ratios.json. Machines differ and are shared: only the ratios of one run can be compared.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from pipeline.campaign import RESULTS, common_arguments
from pipeline.errors import UserError, run_stage
from pipeline.record import replace_json
from pipeline.scale import ROOT, load

REFERENCE = "static"


def bench(scale: str, folder: Path) -> dict:
    load(scale)  # a mistake in the declaration is one line
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".benchmark.{os.getpid()}.json"
    options = ["-q", "-p", "no:xdist", "--benchmark-only", f"--benchmark-json={partial.resolve()}"]
    command = [sys.executable, "-m", "pytest", *options, str(ROOT / "tests" / "benchmarks")]
    environment = os.environ | {"ATSNN_BENCH_SCALE": scale}
    if subprocess.run(command, cwd=ROOT, env=environment).returncode:
        partial.unlink(missing_ok=True)
        raise UserError("a benchmark failed, see above: mend it and run the stage again")
    found = ratios(json.loads(partial.read_text()))
    os.replace(partial, folder / "benchmark.json")
    replace_json(folder / "ratios.json", found)
    return found


def ratios(measured: dict) -> dict[str, dict[str, float]]:
    """How many times as fast as STATIC each method is, by medians, for training and inference."""
    medians: dict[str, dict[str, float]] = {}
    for one in measured["benchmarks"]:
        medians.setdefault(one["group"], {})[one["params"]["name"]] = one["stats"]["median"]
    return {group: {name: round(own[REFERENCE] / own[name], 3) for name in own} for group, own in medians.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.bench", description=__doc__)
    common_arguments(parser)
    options = parser.parse_args()
    print(json.dumps(bench(options.scale, RESULTS / options.scale / "bench"), indent=1))


if __name__ == "__main__":
    run_stage(main, "bench")
