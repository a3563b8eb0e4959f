"""Write the page of `make bench`: tables of the measurements beside their references, and the figure of cost."""
# Tested in tests/pipeline/planning/test_benchmark.py

import io
from pathlib import Path

import pandas as pd

from pipeline.core import atomic_files
from pipeline.planning import roofline
from pipeline.reporting import html_templates
from pipeline.reporting.drawing.canvas import COLOURS

# Describe each group and what it is compared with; the key is the part of the group's name before its first comma
GROUP_NOTES = {
    "train": "One training step (forward, loss, backward, AdamW) of Spikformer-4-384 at T = 4, beside SpikingJelly's own network as it comes "
    "(float32); its second row has our precision and memory settings, ours in plain PyTorch has no compiled kernels.",
    "infer": "Evaluation without gradient of the same networks, beside SpikingJelly's own; AT-SNN merges 25 tokens per block.",
    "latency": "The same, one image at a time.",
    "small": "Every method on the scale's first network and batch, beside STATIC.",
    "packed": "AT-SNN that computes live tokens only, beside our own STATIC: the encoder alone, then with patch splitting.",
    "merge": "Matching and adding tokens of one block, compiled kernels beside plain PyTorch.",
    "lif": "Batch norm and neuron of one hidden layer, compiled kernels beside PyTorch's norm and SpikingJelly's neuron.",
    "product": "The layers of a Spikformer on spikes at the rates of the published campaign, T = 4 and batch 8: event-driven, dense "
    "(each keeps its inputs as bytes for the gradient) and plain PyTorch. Which of the first two a network computes follows from the "
    "share of inputs that are not zero (models/native/thresholds.py).",
    "firing rate": "A linear layer of 384 to 1536 channels and a 3x3 convolution of 96 to 192 on 32 x 32 maps over the share of inputs "
    "that are not zero, beside the dense product at the same share.",
    "evaluations": "Networks of Table 1 with their trained weights, beside the same with dense products.",
    "data": "Training batches prepared by one core; what a step would wait for them is below the table.",
    "start": "Seconds that a process takes before it works, beside importing torch alone.",
    "cost": "Cost per image over timesteps, batch and width, beside STATIC at the first of these points.",
}
PANELS = {"timesteps": "timesteps", "share": "share of tokens computed", "batch": "batch (images)", "width": "width (channels)"}
LINES = (("static", "STATIC", COLOURS[0]), ("at_snn", "AT-SNN, γ = 25", COLOURS[1]))


def write(folder: Path, scale: str, summary: dict, benchmarks: list[dict], slower_lines: list[str]) -> Path:
    """Write index.html and, where cost was measured, cost.png in `folder`, that of the kind; returns the path of index.html."""
    from pipeline.reporting.page.report import embedded

    cost = points(benchmarks)
    picture = draw(cost) if "width" in cost else None
    if picture:
        (folder / "cost.png").write_bytes(picture)
    facts = next(b["extra_info"] for b in benchmarks if "kernels" in b["extra_info"])
    content = {
        "scale": scale,
        "kind": folder.name,
        "facts": facts,
        "worse": slower_lines,
        "picture": picture and embedded(picture),
    }
    content["times"] = sorted({b["extra_info"].get("measured", "")[:10] for b in benchmarks} - {""})
    content |= {"waiting": summary["waiting"], "roofline": roofline_rows(benchmarks), "packed": packed_rows(summary, benchmarks)}
    content["groups"] = group_rows(summary, benchmarks)
    path = folder / "index.html"
    atomic_files.replace(path, html_templates.environment().get_template("bench.html.j2").render(**content))
    return path


def group_rows(summary: dict, benchmarks: list[dict]) -> list[dict]:
    """List the groups in the order of GROUP_NOTES, each with a row per measurement; a note stands at its first group only."""
    names = [group for word in GROUP_NOTES for group in summary["speed"] if group.split(",")[0] == word]
    groups, noted_words = [], set()
    for group in names:
        rows = [row_of(benchmark, group, summary) for benchmark in benchmarks if benchmark["group"] == group]
        word = group.split(",")[0]
        groups.append({"name": group, "about": "" if word in noted_words else GROUP_NOTES[word], "rows": rows})
        noted_words.add(word)
    return groups


def row_of(benchmark: dict, group: str, summary: dict) -> dict:
    """Build the row of a measurement: median in seconds, images per second, and its ratios to the reference and to the limit."""
    info, median = benchmark["extra_info"], benchmark["stats"]["median"]
    row = {
        "name": info["name"],
        "median": median,
        "rate": info["images"] / median,
        "speed": summary["speed"][group][info["name"]],
    }
    row["limit"] = summary["share_of_limit"].get(group, {}).get(info["name"])
    row["memory"] = info.get("memory_gb")
    row["setting"] = ", ".join(str(x) for x in (info.get("dtype"), "batch" in info and f"batch {info['batch']}") if x)
    return row | {"rounds": benchmark["stats"]["rounds"]}


def roofline_rows(benchmarks: list[dict]) -> list[dict]:
    """Build a row per dtype: the measured rates, and the limits of the dense network in images per second."""
    dense = next((b["extra_info"] for b in benchmarks if b["group"] == "train" and b["extra_info"]["name"] == "STATIC"), None)
    rows = []
    for dtype, operation_rates in roofline.rates(benchmarks).items():
        row = {"dtype": dtype, "measured": operation_rates, "peak": roofline.peak(operation_rates)}
        if dense:
            row["macs"] = dense["macs"] / dense["network"]["timesteps"] / roofline.GIGA
            row |= {job: roofline.limit(dense["macs"], passes, row["peak"]) for job, passes in (("train", 3), ("infer", 1))}
        rows.append(row)
    return rows


def packed_rows(summary: dict, benchmarks: list[dict]) -> list[dict]:
    """Build a row per setting, by the share of tokens it executes, with the times of encoder and network in seconds."""
    times = {(b["group"], b["extra_info"]["name"]): b["stats"]["median"] for b in benchmarks if b["group"].startswith("packed")}
    shares = {b["extra_info"]["name"]: b["extra_info"]["share"] for b in benchmarks if b["group"] == "packed, encoder"}
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
    """Tabulate the cost per image in seconds by job, kind and the quantity that varies."""
    rows = []
    for benchmark in benchmarks:
        info, seconds = benchmark["extra_info"], benchmark["stats"]["median"]
        if benchmark["group"].startswith("cost"):
            network = info["network"]
            row = {"job": benchmark["group"].split(", ")[1], "kind": info["kind"], "batch": info["batch"]}
            row |= {"timesteps": network["timesteps"], "width": network["width"], "share": float("nan")}
        elif benchmark["group"] == "packed, network":
            row = {"job": "infer", "kind": "static" if info["share"] == 1 and info["name"] == "STATIC" else "at_snn"}
            row |= {"share": info["share"]}
        else:
            continue
        rows.append(row | {"cost": seconds / info["images"]})
    return pd.DataFrame(rows)


def draw(all_points: pd.DataFrame) -> bytes:
    """Draw one panel per quantity that varies, a colour per network, filled for inference and hollow for training, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(PANELS), figsize=(13, 3.8), layout="constrained")
    grid = all_points[all_points.share.isna()]
    base = grid.iloc[0]  # the point that all panels share is measured first
    for axis, (key, title) in zip(axes, PANELS.items()):
        fixed = [other for other in PANELS if other not in (key, "share")]
        panel_points = all_points.dropna(subset="share") if key == "share" else grid[(grid[fixed] == base[fixed]).all(axis=1)]
        for kind, label, colour in LINES:
            for job, style in (("infer", {"marker": "o"}), ("train", {"marker": "s", "mfc": "white", "ls": "--"})):
                line = panel_points[(panel_points.kind == kind) & (panel_points.job == job)].sort_values(key)
                word = "inference" if job == "infer" else "training"
                axis.plot(line[key], 1000 * line.cost, color=colour, lw=1.2, ms=5, label=f"{label}, {word}", **style)
        axis.set(xlabel=title, ylabel="ms per image" if axis is axes[0] else None, ylim=(0, None))
        axis.grid(alpha=0.3)
        if key in ("timesteps", "batch"):
            axis.set_xscale("log", base=2)
        if key != "share":
            axis.set_xticks(sorted(set(panel_points[key])), [f"{x:g}" for x in sorted(set(panel_points[key]))])
            axis.minorticks_off()
    axes[1].set_xlim(0, 1.05)
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, ncols=4, loc="outside lower center")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=140, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()
