"""Measure speed in one run: our networks beside SpikingJelly's and the limit of this machine, and each part of them.

The command is pipeline.bench, whose text says how it is used and by which rules.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.campaign.campaign import Campaign
from pipeline.core.atomic_files import replace_json
from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT
from pipeline.planning import roofline
from pipeline.planning.processor_kind import kind_of

PARTS = (
    "networks",
    "cost",
    "parts",
    "products",
    "methods",
    "evaluations",
    "stages",
)  # the test files of tests/benchmarks, by what follows test_
TOLERANCE = 0.20  # largest relative loss of a speed ratio that passes as noise
TOLERANCE_IN_IQRS = 3  # the same in relative interquartile ranges; the larger of the two counts


def bench(campaign: Campaign, strict: bool = False, only: Sequence[str] = ()) -> Path:
    """Run the benchmarks, compare their ratios with the last run's on the same kind of processor, and write the results.

    `only`: names of PARTS to measure; the record keeps what it has of the others. Returns the page, which is written last.
    Raises UserError where a benchmark fails or, with `strict`, where a ratio got worse.
    """
    from pipeline.planning import benchmark_page

    scale, folder = campaign.experiment.scale, campaign.folder / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    partial_file = folder / f".benchmark.{os.getpid()}.json"
    measure(campaign, partial_file, only)
    run = json.loads(partial_file.read_text(encoding="utf-8"))
    partial_file.unlink()
    kind_folder = folder / kind_of(run)
    kind_folder.mkdir(exist_ok=True)
    last_benchmarks = read_benchmarks(kind_folder / "benchmark.json")
    slower_lines = compare(run["benchmarks"], last_benchmarks)
    run["benchmarks"] = joined(run, last_benchmarks) if only else joined(run, [])
    summary = summarise(run["benchmarks"])
    replace_json(kind_folder / "benchmark.json", run)
    replace_json(kind_folder / "ratios.json", rounded(summary))
    page = benchmark_page.write(kind_folder, scale, summary, run["benchmarks"], slower_lines)
    for line in slower_lines:
        print(line)
    if strict and slower_lines:
        raise UserError(
            f"{len(slower_lines)} ratios are worse than in the last run, see above: mend them, or run without --strict"
        )
    return page


def joined(run: dict, earlier: list[dict]) -> list[dict]:
    """List a run's measurements, each with the time of its run, and those of earlier runs in groups that it has not."""
    measured_groups = {benchmark["group"] for benchmark in run["benchmarks"]}
    for benchmark in run["benchmarks"]:
        benchmark["extra_info"]["measured"] = run["datetime"]
    return [*(benchmark for benchmark in earlier if benchmark["group"] not in measured_groups), *run["benchmarks"]]


def measure(campaign: Campaign, target: Path, only: Sequence[str] = ()) -> None:
    """Run tests/benchmarks for a campaign and write pytest-benchmark's JSON to `target`. Raises UserError where one fails."""
    options = ["-q", "-p", "no:xdist", "--benchmark-only", "--benchmark-columns=median,iqr,rounds", "--benchmark-sort=name"]
    folder = ROOT / "tests" / "benchmarks"
    files = [folder / f"test_{part}.py" for part in only] or [folder]
    command = [sys.executable, "-m", "pytest", *options, f"--benchmark-json={target.resolve()}", *map(str, files)]
    environment = os.environ | {"ATSNN_BENCH_SCALE": campaign.experiment.scale}
    if subprocess.run(command, cwd=ROOT, env=environment).returncode:
        target.unlink(missing_ok=True)
        raise UserError("a benchmark failed, see above: mend it and run the stage again")


def read_benchmarks(path: Path) -> list[dict]:
    """Read the last run's measurements; an empty list where there are none, or where they are of another form."""
    try:
        benchmarks = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
        summarise(benchmarks)
        return benchmarks
    except (OSError, ValueError, KeyError, TypeError):
        return []


def summarise(benchmarks: list[dict]) -> dict:
    """Compute by group and name speed and memory over the reference's (above 1: faster, more), and the share of the limit.

    `over_share`: the packed encoder's time over STATIC's, over the share of tokens that it computes; 1 is proportional.
    `waiting`: the share of a training step that waiting for data is, where no worker prepares it.
    `images_per_second` can't be compared with other runs.
    """
    speed = relative(benchmarks, rate)
    memory = relative(
        [b for b in benchmarks if b["group"].split(",")[0] in ("train", "infer")],
        lambda b: b["extra_info"]["memory_gb"],
    )
    shares = {b["extra_info"]["name"]: b["extra_info"]["share"] for b in benchmarks if b["group"] == "packed, encoder"}
    over_share = {name: 1 / speed["packed, encoder"][name] / share for name, share in shares.items()}
    summary = {"speed": speed, "memory": memory, "share_of_limit": shares_of_limit(benchmarks), "over_share": over_share}
    return summary | {"waiting": waiting_shares(benchmarks), "images_per_second": images_per_second(benchmarks)}


def images_per_second(benchmarks: list[dict]) -> dict[str, dict[str, float]]:
    """Compute images per second of training and of inference, by group and name."""
    rates: dict[str, dict[str, float]] = {}
    for benchmark in benchmarks:
        if benchmark["group"] in ("train", "infer"):
            rates.setdefault(benchmark["group"], {})[benchmark["extra_info"]["name"]] = rate(benchmark)
    return rates


def rate(benchmark: dict) -> float:
    """Compute images per second of a measurement."""
    return benchmark["extra_info"]["images"] / benchmark["stats"]["median"]


def relative(benchmarks: list[dict], quantity) -> dict[str, dict[str, float]]:
    """Divide a quantity of each measurement by that of its group's reference; ratios by group and name."""
    ratios: dict[str, dict[str, float]] = {}
    for benchmark in benchmarks:
        if reference := reference_of(benchmark, benchmarks):
            ratios.setdefault(benchmark["group"], {})[benchmark["extra_info"]["name"]] = quantity(benchmark) / quantity(reference)
    return ratios


def reference_of(benchmark: dict, benchmarks: list[dict]) -> dict | None:
    """Find the measurement of the same group that a measurement is compared with; None where there is none."""
    reference_key = benchmark["group"], benchmark["extra_info"].get("reference")
    return next((other for other in benchmarks if (other["group"], other["extra_info"]["name"]) == reference_key), None)


def shares_of_limit(benchmarks: list[dict]) -> dict[str, dict[str, float]]:
    """Divide images per second by the limit for what the network computes, at the rate of its own dtype."""
    rates = roofline.rates(benchmarks)
    shares: dict[str, dict[str, float]] = {}
    for benchmark in benchmarks:
        info = benchmark["extra_info"]
        if benchmark["group"].split(",")[0] in ("train", "infer", "latency") and info["dtype"] in rates:
            limit = roofline.limit(info["macs"], info["passes"], roofline.peak(rates[info["dtype"]]))
            shares.setdefault(benchmark["group"], {})[info["name"]] = rate(benchmark) / limit
    return shares


def waiting_shares(benchmarks: list[dict]) -> dict[str, float]:
    """Compute the share of a training step that waiting for data is: p / (p + s), where one core prepares an image in p seconds.

    s: seconds per image of a training step of STATIC, with the recipe of the paper and with that of the scale.
    """
    seconds = {(b["group"], b["extra_info"]["name"]): b["stats"]["median"] / b["extra_info"]["images"] for b in benchmarks}
    steps = {"the paper's recipe": ("train", "STATIC"), "the scale's recipe": ("small, train", "static")}
    measured_steps = {name: step for name, step in steps.items() if step in seconds and ("data", name) in seconds}
    return {name: seconds["data", name] / (seconds["data", name] + seconds[step]) for name, step in measured_steps.items()}


def compare(now: list[dict], before: list[dict]) -> list[str]:
    """List a line for each speed ratio that got worse than noise explains.

    The list is empty where the last run was on another device or in another arithmetic.
    """
    if device(now) != device(before):
        return []
    ratios, last_ratios = (summarise(run)["speed"] for run in (now, before))
    lines = []
    for group, group_ratios in ratios.items():
        for name, ratio in group_ratios.items():
            last = last_ratios.get(group, {}).get(name)
            if last is None:
                continue
            tolerance = max(TOLERANCE, TOLERANCE_IN_IQRS * max(spread(run, group, name) for run in (now, before)))
            if ratio < last * (1 - tolerance):
                lines.append(
                    f"slower: {group}: {name} is {ratio:.3g} times its reference, was {last:.3g} (tolerance {tolerance:.0%})"
                )
    return lines


def spread(run: list[dict], group: str, name: str) -> float:
    """Compute the relative interquartile range of a measurement, or of its reference where that is larger."""
    benchmark = next(benchmark for benchmark in run if (benchmark["group"], benchmark["extra_info"]["name"]) == (group, name))
    return max(x["stats"]["iqr"] / x["stats"]["median"] for x in (benchmark, reference_of(benchmark, run)))


def device(run: list[dict]) -> tuple | None:
    """Read the device that a run was measured on, its threads, and the dtype chosen there; None where STATIC was not trained."""
    static_infos = (b["extra_info"] for b in run if (b["group"], b["extra_info"]["name"]) == ("train", "STATIC"))
    return next(((info["device"], info["threads"], info["dtype"]) for info in static_infos), None)


def rounded(content):
    """Round numbers to three significant digits, at every depth."""
    if isinstance(content, dict):
        return {key: rounded(value) for key, value in content.items()}
    return float(f"{content:.3g}")
