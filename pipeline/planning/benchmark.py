"""Speed, measured in one run: our networks beside SpikingJelly's, beside the limit of this machine, and each part of them.

python -m pipeline.bench --scale smoke runs tests/benchmarks, which time every network in a process of its own, and writes to
results/smoke/bench: benchmark.json (pytest-benchmark's own), ratios.json, cost.png and index.html, a page with all of it.
Machines differ and are shared: only the ratios of one run can be compared. They are, with those of the run whose files were
there before, if it was on the same device in the same arithmetic: what got slower is printed, and with --strict the stage fails for it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from pipeline.campaign.campaign import Campaign
from pipeline.core.atomic_files import replace_json
from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT
from pipeline.planning import roofline

TOLERANCE = 0.20  # of a ratio: it got worse where it lost more
SPREADS = 3  # or more than so many relative interquartile ranges, whichever is larger


def bench(campaign: Campaign, strict: bool = False) -> Path:
    """Measure, summarise, compare with what was there before, write. The page is the last file."""
    from pipeline.planning import benchmark_page

    scale, folder = campaign.experiment.scale, campaign.folder / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "benchmark.json"
    before = readable(stored)
    partial = folder / f".benchmark.{os.getpid()}.json"
    measure(scale, partial)
    benchmarks = json.loads(partial.read_text())["benchmarks"]
    summary = summarise(benchmarks)
    worse = compare(benchmarks, before)
    os.replace(partial, stored)
    replace_json(folder / "ratios.json", rounded(summary))
    page = benchmark_page.write(folder, scale, summary, benchmarks, worse)
    for line in worse:
        print(line)
    if strict and worse:
        raise UserError(f"{len(worse)} ratios are worse than in the last run, see above: mend them, or run without --strict")
    return page


def measure(scale: str, target: Path) -> None:
    options = ["-q", "-p", "no:xdist", "--benchmark-only", "--benchmark-columns=median,iqr,rounds", "--benchmark-sort=name"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        *options,
        f"--benchmark-json={target.resolve()}",
        str(ROOT / "tests" / "benchmarks"),
    ]
    environment = os.environ | {"ATSNN_BENCH_SCALE": scale}
    if subprocess.run(command, cwd=ROOT, env=environment).returncode:
        target.unlink(missing_ok=True)
        raise UserError("a benchmark failed, see above: mend it and run the stage again")


def readable(path: Path) -> list[dict]:
    """The last run's measurements; none where there are none, or where they are of another form."""
    try:
        found = json.loads(path.read_text())["benchmarks"]
        summarise(found)
        return found
    except (OSError, ValueError, KeyError, TypeError):
        return []


def summarise(benchmarks: list[dict]) -> dict:
    """By group and name: speed and memory over the reference's (above 1: faster, more), and the share of the limit reached.

    `over_share`: the packed encoder's time over STATIC's, over the share of tokens that it computes; 1 is proportional.
    `waiting`: the share of a training step that waiting for data is, where no worker prepares it.
    `images_per_second` can't be compared with other runs.
    """
    speed = relative(benchmarks, rate)
    memory = relative(
        [one for one in benchmarks if one["group"].split(",")[0] in ("train", "infer")],
        lambda one: one["extra_info"]["memory_gb"],
    )
    shares = {o["extra_info"]["name"]: o["extra_info"]["share"] for o in benchmarks if o["group"] == "packed, encoder"}
    over_share = {name: 1 / speed["packed, encoder"][name] / share for name, share in shares.items()}
    told = {"speed": speed, "memory": memory, "share_of_limit": shares_of_limit(benchmarks), "over_share": over_share}
    return told | {"waiting": waiting(benchmarks), "images_per_second": images_per_second(benchmarks)}


def images_per_second(benchmarks: list[dict]) -> dict[str, dict[str, float]]:
    """Images per second of training and of inference."""
    found: dict[str, dict[str, float]] = {}
    for one in benchmarks:
        if one["group"] in ("train", "infer"):
            found.setdefault(one["group"], {})[one["extra_info"]["name"]] = rate(one)
    return found


def rate(one: dict) -> float:
    """Images per second of a measurement."""
    return one["extra_info"]["images"] / one["stats"]["median"]


def relative(benchmarks: list[dict], value) -> dict[str, dict[str, float]]:
    """A number of each measurement over that of its group's reference."""
    found: dict[str, dict[str, float]] = {}
    for one in benchmarks:
        if reference := reference_of(one, benchmarks):
            found.setdefault(one["group"], {})[one["extra_info"]["name"]] = value(one) / value(reference)
    return found


def reference_of(one: dict, benchmarks: list[dict]) -> dict | None:
    """The measurement that another is compared with, of the same group."""
    wanted = one["group"], one["extra_info"].get("reference")
    return next((other for other in benchmarks if (other["group"], other["extra_info"]["name"]) == wanted), None)


def shares_of_limit(benchmarks: list[dict]) -> dict[str, dict[str, float]]:
    """Images per second over the limit of what the network computes, at the rate of its own dtype."""
    rates = roofline.rates(benchmarks)
    found: dict[str, dict[str, float]] = {}
    for one in benchmarks:
        info = one["extra_info"]
        if one["group"].split(",")[0] in ("train", "infer", "latency") and info["dtype"] in rates:
            most = roofline.limit(info["macs"], info["passes"], roofline.peak(rates[info["dtype"]]))
            found.setdefault(one["group"], {})[info["name"]] = rate(one) / most
    return found


def waiting(benchmarks: list[dict]) -> dict[str, float]:
    """Seconds that one core prepares an image, over those with its training step: STATIC of the paper, and of the scale."""
    per_image = {
        (one["group"], one["extra_info"]["name"]): one["stats"]["median"] / one["extra_info"]["images"] for one in benchmarks
    }
    steps = {"the paper's recipe": ("train", "STATIC"), "the scale's recipe": ("small, train", "static")}
    known = {name: step for name, step in steps.items() if step in per_image and ("data", name) in per_image}
    return {name: per_image["data", name] / (per_image["data", name] + per_image[step]) for name, step in known.items()}


def compare(now: list[dict], before: list[dict]) -> list[str]:
    """A line for each speed ratio that got worse than noise explains; none where the last run was on another device."""
    if device(now) != device(before):
        return []
    ratios, earlier = (summarise(run)["speed"] for run in (now, before))
    lines = []
    for group, own in ratios.items():
        for name, ratio in own.items():
            last = earlier.get(group, {}).get(name)
            if last is None:
                continue
            tolerance = max(TOLERANCE, SPREADS * max(spread(run, group, name) for run in (now, before)))
            if ratio < last * (1 - tolerance):
                lines.append(
                    f"slower: {group}: {name} is {ratio:.3g} times its reference, was {last:.3g} (tolerance {tolerance:.0%})"
                )
    return lines


def spread(run: list[dict], group: str, name: str) -> float:
    """The relative interquartile range of a measurement, or of its reference where that is larger."""
    one = next(one for one in run if (one["group"], one["extra_info"]["name"]) == (group, name))
    return max(x["stats"]["iqr"] / x["stats"]["median"] for x in (one, reference_of(one, run)))


def device(run: list[dict]) -> tuple | None:
    """What a run was measured on, and the arithmetic that was chosen there."""
    ours = (one["extra_info"] for one in run if (one["group"], one["extra_info"]["name"]) == ("train", "STATIC"))
    return next(((info["device"], info["threads"], info["dtype"]) for info in ours), None)


def rounded(content):
    """Numbers to three significant digits, at every depth."""
    if isinstance(content, dict):
        return {key: rounded(value) for key, value in content.items()}
    return float(f"{content:.3g}")
