"""The page of `make bench`: tables of what was measured beside what it is compared with, and the figure of cost."""

import io
from pathlib import Path

import pandas as pd

from pipeline.core import atomic_files
from pipeline.planning import roofline
from pipeline.reporting import html_templates
from pipeline.reporting.drawing.canvas import COLOURS

# What each group compares with what; a group is found by the word it begins with
ABOUT = {
    "train": "One training step (forward, loss, backward, AdamW) of Spikformer-4-384 at T = 4, beside SpikingJelly's own network as it comes "
    "(float32); its second row has our precision and memory settings, ours in plain PyTorch has no compiled kernels.",
    "infer": "Evaluation without gradient of the same networks, beside SpikingJelly's own; AT-SNN merges 25 tokens per block.",
    "latency": "The same, one image at a time.",
    "small": "Every method on the scale's first network and batch, beside STATIC.",
    "packed": "AT-SNN that computes live tokens only, beside our own STATIC: the encoder alone, then with patch splitting.",
    "merge": "Matching and adding tokens of one block, compiled kernels beside plain PyTorch.",
    "lif": "Batch norm and neuron of one hidden layer, compiled kernels beside PyTorch's norm and SpikingJelly's neuron.",
    "data": "Training batches prepared by one core; what a step would wait for them is below the table.",
    "start": "Seconds that a process takes before it works, beside importing torch alone.",
    "cost": "Cost per image over timesteps, batch and width, beside STATIC at the first of these points.",
}
PANELS = {"timesteps": "timesteps", "share": "share of tokens computed", "batch": "batch (images)", "width": "width (channels)"}
LINES = (("static", "STATIC", COLOURS[0]), ("at_snn", "AT-SNN, γ = 25", COLOURS[1]))


def write(folder: Path, scale: str, summary: dict, benchmarks: list[dict], worse: list[str]) -> Path:
    """index.html and cost.png in `folder`."""
    from pipeline.reporting.page.report import embedded

    picture = draw(benchmarks)
    (folder / "cost.png").write_bytes(picture)
    facts = next(one["extra_info"] for one in benchmarks if "kernels" in one["extra_info"])
    content = {"scale": scale, "facts": facts, "worse": worse, "picture": embedded(picture)}
    content |= {"waiting": summary["waiting"], "roofline": roofline_rows(benchmarks), "packed": packed_rows(summary, benchmarks)}
    content["groups"] = group_rows(summary, benchmarks)
    path = folder / "index.html"
    atomic_files.replace(path, html_templates.environment().get_template("bench.html.j2").render(**content))
    return path


def group_rows(summary: dict, benchmarks: list[dict]) -> list[dict]:
    """Groups in the order they are told of, each with a row per measurement."""
    names = [group for word in ABOUT for group in summary["speed"] if group.split(",")[0] == word]
    groups, told = [], set()
    for group in names:
        rows = [row_of(one, group, summary) for one in benchmarks if one["group"] == group]
        word = group.split(",")[0]
        groups.append({"name": group, "about": "" if word in told else ABOUT[word], "rows": rows})
        told.add(word)
    return groups


def row_of(one: dict, group: str, summary: dict) -> dict:
    info, median = one["extra_info"], one["stats"]["median"]
    row = {
        "name": info["name"],
        "median": median,
        "rate": info["images"] / median,
        "speed": summary["speed"][group][info["name"]],
    }
    row["limit"] = summary["share_of_limit"].get(group, {}).get(info["name"])
    row["memory"] = info.get("memory_gb")
    row["setting"] = ", ".join(str(x) for x in (info.get("dtype"), "batch" in info and f"batch {info['batch']}") if x)
    return row | {"rounds": one["stats"]["rounds"]}


def roofline_rows(benchmarks: list[dict]) -> list[dict]:
    """A row per dtype: what was measured, and the limits of the dense network in images per second."""
    dense = next((o["extra_info"] for o in benchmarks if o["group"] == "train" and o["extra_info"]["name"] == "STATIC"), None)
    rows = []
    for dtype, measured in roofline.rates(benchmarks).items():
        row = {"dtype": dtype, "measured": measured, "peak": roofline.peak(measured)}
        if dense:
            row["macs"] = dense["macs"] / dense["network"]["timesteps"] / roofline.GIGA
            row |= {job: roofline.limit(dense["macs"], passes, row["peak"]) for job, passes in (("train", 3), ("infer", 1))}
        rows.append(row)
    return rows


def packed_rows(summary: dict, benchmarks: list[dict]) -> list[dict]:
    """Settings by the share they execute, with the time of encoder and network."""
    times = {(o["group"], o["extra_info"]["name"]): o["stats"]["median"] for o in benchmarks if o["group"].startswith("packed")}
    shares = {o["extra_info"]["name"]: o["extra_info"]["share"] for o in benchmarks if o["group"] == "packed, encoder"}
    rows = []
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        row = {
            "name": name,
            "share": share,
            "encoder": times["packed, encoder", name],
            "network": times.get(("packed, network", name)),
        }
        row["network_speed"] = summary["speed"].get("packed, network", {}).get(name)
        rows.append(row | {"over_share": summary["over_share"].get(name)})
    return rows


def points(benchmarks: list[dict]) -> pd.DataFrame:
    """Cost per image in seconds by job, kind and what was varied."""
    rows = []
    for one in benchmarks:
        info, seconds = one["extra_info"], one["stats"]["median"]
        if one["group"].startswith("cost"):
            network = info["network"]
            row = {"job": one["group"].split(", ")[1], "kind": info["kind"], "batch": info["batch"]}
            row |= {"timesteps": network["timesteps"], "width": network["width"], "share": float("nan")}
        elif one["group"] == "packed, network":
            row = {"job": "infer", "kind": "static" if info["share"] == 1 and info["name"] == "STATIC" else "at_snn"}
            row |= {"share": info["share"]}
        else:
            continue
        rows.append(row | {"cost": seconds / info["images"]})
    return pd.DataFrame(rows)


def draw(benchmarks: list[dict]) -> bytes:
    """One panel per thing that varies, a colour per network, filled for inference and hollow for training: a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    every = points(benchmarks)
    figure, axes = plt.subplots(1, len(PANELS), figsize=(13, 3.8), layout="constrained")
    varied = every[every.share.isna()]
    base = varied.iloc[0]  # the point that all panels share is measured first
    for axis, (key, title) in zip(axes, PANELS.items()):
        rest = [other for other in PANELS if other not in (key, "share")]
        shown = every.dropna(subset="share") if key == "share" else varied[(varied[rest] == base[rest]).all(axis=1)]
        for kind, label, colour in LINES:
            for job, style in (("infer", {"marker": "o"}), ("train", {"marker": "s", "mfc": "white", "ls": "--"})):
                own = shown[(shown.kind == kind) & (shown.job == job)].sort_values(key)
                word = "inference" if job == "infer" else "training"
                axis.plot(own[key], 1000 * own.cost, color=colour, lw=1.2, ms=5, label=f"{label}, {word}", **style)
        axis.set(xlabel=title, ylabel="ms per image" if axis is axes[0] else None, ylim=(0, None))
        axis.grid(alpha=0.3)
        if key in ("timesteps", "batch"):
            axis.set_xscale("log", base=2)
        if key != "share":
            axis.set_xticks(sorted(set(shown[key])), [f"{x:g}" for x in sorted(set(shown[key]))])
            axis.minorticks_off()
    axes[1].set_xlim(0, 1.05)
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, ncols=4, loc="outside lower center")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=140, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()
