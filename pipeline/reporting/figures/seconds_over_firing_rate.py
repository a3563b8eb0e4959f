"""Plot the seconds of layers over the share of their inputs that is not zero, and those of trained networks over their operations."""

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.campaign.shown_files import speed_files
from pipeline.core import atomic_files
from pipeline.core.errors import UserError
from pipeline.reporting.drawing import canvas
from pipeline.reporting.drawing.missing_data import MissingData

TITLE = "Seconds over firing rate: does time follow spikes?"
DEFINITION = (
    "Measured by pipeline.bench, the fastest of up to nine rounds; a row per kind of processor. Left: a linear layer and a 3x3 convolution of Spikformer-4-384 on random "
    "spikes, dense and event-driven, over the share of inputs that are not zero; numbers: times the dense seconds at the same share. "
    "Left of the dotted line the networks choose the event-driven kernel (models/native/thresholds.py). Right: networks of Table 1 with "
    "their trained weights, one point per evaluation and number of timesteps: time of an image over the operations that the energy model "
    "counts for the same images (`nonzero`: zero inputs and merged or halted tokens cost nothing); AT-SNN computes live tokens only on "
    "both paths. Lines: least squares."
)
MOST_EVALUATIONS = 0
LAYERS = {"linear": "linear layer, 384 to 1536", "convolution": "3x3 convolution, 96 to 192, on 32 x 32"}
PATHS = {"dense": ((canvas.BLACK, canvas.GREY), "dense"), "events": ((canvas.BLUE, canvas.SKY), "event-driven")}  # by dtype
STROKES = ("-", "--")  # by dtype, float32 first
MARKERS = "os^Dv"  # by data set
MS, MILLIONS = 1e3, 1e6


def reads(folder):
    """List the records of speed in a campaign's folder."""
    return speed_files(folder, "benchmark.json")


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a row per kind of processor: two layers, and the trained networks."""
    kinds = {path.parent.name: read_kind(path) for path in reads(campaign.folder)}
    kinds = {kind: numbers for kind, numbers in kinds.items() if numbers["layers"]}
    if not kinds:
        scale = campaign.experiment.scale
        raise MissingData(
            f"no record in {campaign.folder}/bench has times over firing rates: make bench SCALE={scale} measures them"
        )
    figure, axes = canvas.panels(len(kinds), 3, width=11.5, height=0.5 + 3.5 * len(kinds))
    for row, (kind, numbers) in zip(axes, kinds.items()):
        for axis, (layer, title) in zip(row, LAYERS.items()):
            draw_layer(axis, [line for line in numbers["layers"] if line["layer"] == layer])
            axis.set_title(title)
        draw_networks(row[2], numbers["networks"])
        row[0].set_ylabel("ms")
        row[0].text(0, 1.14, kind, transform=row[0].transAxes, fontweight="bold")
    handles = {label: line for axis in axes[:, 0] for line, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles))
    caption = " ".join(describe(kind, numbers) for kind, numbers in kinds.items())
    made = "Random spikes and trained weights; nothing was trained or evaluated for it."
    return figure, {"caption": caption, "made": made, "kinds": kinds}


def read_kind(path) -> dict:
    """Read the lines of layers and the points of networks from a kind's record; lists are empty where it has none.

    Raises MissingData where the record is damaged.
    """
    try:
        benchmarks = atomic_files.read_json(path, "benchmarks")["benchmarks"]
        return {"layers": layer_lines(benchmarks), "networks": network_points(benchmarks)}
    except (UserError, KeyError, TypeError, AttributeError) as error:
        raise MissingData(f"{path} is damaged ({error}): make bench measures it again") from error


def layer_lines(benchmarks: list[dict]) -> list[dict]:
    """Collect a line per layer, dtype and path: shares of inputs that are not zero, seconds, and the threshold of the networks."""
    lines: dict[tuple, dict] = {}
    for benchmark in benchmarks:
        group, info = benchmark["group"], benchmark["extra_info"]
        if group.startswith("firing rate"):
            key = group.split(", ")[1], info["dtype"], info["path"]
            line = lines.setdefault(key, dict(zip(("layer", "dtype", "path"), key)) | {"shares": [], "seconds": []})
            line["threshold"] = info["threshold"]
            line["shares"].append(info["share"])
            line["seconds"].append(benchmark["stats"]["min"])
    for (layer, dtype, _), line in lines.items():
        dense = lines[layer, dtype, "dense"]["seconds"]
        line["times_dense"] = [seconds / other for seconds, other in zip(line["seconds"], dense)]
    return [lines[key] for key in sorted(lines, key=lambda key: (key[0], key[1] != "float32", key[1], key[2]))]


def network_points(benchmarks: list[dict]) -> list[dict]:
    """Collect a point per trained network and path: its operations and its seconds per image."""
    points = []
    for benchmark in benchmarks:
        info = benchmark["extra_info"]
        if benchmark["group"] == "evaluations":
            point = {
                key: info[key] for key in ("row", "title", "dataset", "timesteps", "operations", "dense_operations", "images_are")
            }
            path = "dense" if info["name"].endswith("dense products") else "events"
            points.append(point | {"path": path, "seconds": benchmark["stats"]["min"] / info["images"]})
    return points


def draw_layer(axis, lines: list[dict]) -> None:
    """Draw a layer's seconds over the share of inputs that are not zero, with event-driven over dense beside the points."""
    dtypes = list(dict.fromkeys(line["dtype"] for line in lines))
    for line in lines:
        (colours, label), place = PATHS[line["path"]], dtypes.index(line["dtype"])
        x, y = 100 * np.array(line["shares"]), MS * np.array(line["seconds"])
        label = f"{label}, {line['dtype']}"
        axis.plot(x, y, color=colours[place], ls=STROKES[place], marker="o", ms=4, lw=1.8, label=label)
        if line["path"] == "events" and place == 0:
            note_ratios(axis, x, y, line)
    axis.set(xlabel="inputs not zero (%)", xlim=(0, None))
    axis.set_ylim(0, 1.12 * axis.get_ylim()[1])


def note_ratios(axis, x: np.ndarray, y: np.ndarray, line: dict) -> None:
    """Write event-driven over dense seconds below a line's points, and mark up to which share the networks choose it."""
    style = {"fontsize": 7, "textcoords": "offset points", "color": canvas.BLUE}
    for place, height, ratio in zip(x, y, line["times_dense"]):
        axis.annotate(f"{ratio:.2f}", (place, height), (3, -10), **style)
    if 0 < line["threshold"] < 1:
        threshold, style = 100 * line["threshold"], {"fontsize": 7, "color": "#555555", "transform": axis.get_xaxis_transform()}
        axis.axvline(threshold, color=canvas.GREY, ls=":", lw=1.4)
        axis.text(threshold, 0.97, "event-driven chosen  ", ha="right", **style)
        axis.text(threshold, 0.97, "  dense", **style)


def draw_networks(axis, points: list[dict]) -> None:
    """Draw each trained network's time of an image over its counted operations, on both paths."""
    if not points:
        canvas.notice(axis, "no trained networks were measured here")
        return
    datasets = list(dict.fromkeys(point["dataset"] for point in points))
    for path, ((colour, _), _) in PATHS.items():
        chosen = [point for point in points if point["path"] == path]
        for dataset, marker in zip(datasets, MARKERS):
            here = [point for point in chosen if point["dataset"] == dataset]
            x, y = [p["operations"] / MILLIONS for p in here], [MS * p["seconds"] for p in here]
            face = colour if path == "events" else "white"
            axis.plot(x, y, marker, color=colour, mfc=face, ms=5, alpha=0.85, label=dataset if path == "events" else None)
        fit = line_through(chosen)
        ends = np.array([0, max(point["operations"] for point in points)])
        axis.plot(ends / MILLIONS, MS * (fit["seconds"] + fit["seconds_per_operation"] * ends), color=colour, lw=1.2, alpha=0.7)
    axis.set(xlabel="operations counted per image (millions)", ylabel="ms per image", xlim=(0, None), ylim=(0, None))
    axis.set_title("trained networks")
    axis.legend(loc="upper left")


def line_through(points: list[dict]) -> dict[str, float]:
    """Fit seconds = a + b operations; with the correlation of seconds with operations, and with those that zeros would save.

    Correlations are NaN (None) where all points have the same operations.
    """
    seconds = np.array([point["seconds"] for point in points])
    counted, dense = (np.array([point[key] for point in points]) for key in ("operations", "dense_operations"))
    slope, start = np.polyfit(counted, seconds, 1) if np.ptp(counted) else (0.0, seconds.mean())
    fit = {"seconds": float(start), "seconds_per_operation": float(slope)}
    return fit | {"r": correlation(counted, seconds), "r_with_all_operations": correlation(dense, seconds)}


def correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    """Compute the correlation of two lists; None where one of them does not vary."""
    return float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) and np.ptp(y) else None


def describe(kind: str, numbers: dict) -> str:
    """Say what a kind's panels show: where event-driven is as fast as dense, and how time and operations go together."""
    words = []
    for line in numbers["layers"]:
        if line["path"] == "events":
            shares = [share for share, ratio in zip(line["shares"], line["times_dense"]) if ratio <= 1]
            until = f"up to {100 * max(shares):.0f} % of inputs not zero" if shares else "nowhere"
            words.append(f"{line['layer']} in {line['dtype']}: event-driven as fast or faster {until}")
    texts = [f"{kind}: {'; '.join(words)}."]
    for path, (_, name) in PATHS.items():
        points = [point for point in numbers["networks"] if point["path"] == path]
        if points:
            fit = line_through(points)
            numbers.setdefault("fits", {})[path] = fit
            texts.append(
                f"Trained networks, {name}: {1e9 * fit['seconds_per_operation']:.2f} ns per counted operation and "
                f"{MS * fit['seconds']:.2f} ms beside; correlation {told(fit['r'])}, with all operations of live tokens, zeros "
                f"included, {told(fit['r_with_all_operations'])}."
            )
    if images := {point["images_are"] for point in numbers["networks"]}:
        texts.append(f"Images: {', '.join(sorted(images))}; n = {len(numbers['networks']) // 2}.")
    return " ".join(texts)


def told(value: float | None) -> str:
    """Write a correlation; a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"
