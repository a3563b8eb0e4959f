"""The two neurons of section 4.3 (Fig. 10a and b), computed: which masks of two out of four inputs let any of them fire."""

from itertools import combinations

from pipeline import canvas
from pipeline.campaign import Campaign
from pipeline.identity import Evaluation

TITLE = "Masking two of four inputs of two neurons (Fig. 10a, b)"
DEFINITION = (
    "Neurons i and j receive (0.3, 0.8) and (0.5, 0.6) at two timesteps; two of the four inputs are masked. Reading: the paper does "
    "not name the neuron. IF sums its inputs and fires at 1, as the example needs; LIF is Spikformer's, v += (x - v) / 2, whose "
    "membrane never passes its largest input, so that here it fires at neither of the network's thresholds, 1 and 0.5."
)
MOST_EVALUATIONS = 0
INPUTS = {"i": (0.3, 0.8), "j": (0.5, 0.6)}  # section 4.3
THRESHOLD = 1.0
PLACES = [(neuron, t) for neuron in INPUTS for t in (0, 1)]
SHOWN = {
    "(a) random: i masked at t = 2, j at t = 1": (("i", 1), ("j", 0)),
    "(b) consistent: j masked at both": (("j", 0), ("j", 1)),
}


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Membranes under both kinds of masks, and the outcome of all six masks."""
    masks = [outcome(mask) for mask in combinations(PLACES, 2)]
    figure, axes = canvas.panels(1, 3, width=11, gridspec_kw={"width_ratios": (1, 1, 1.25)})
    for axis, (title, mask) in zip(axes[0], SHOWN.items()):
        potentials(axis, title, outcome(mask))
    axes[0, 0].set_ylabel("membrane potential (IF)")
    table(axes[0, 2], masks)
    firing = [bool(mask["fires"]) for mask in masks]
    of_consistent = [fires for fires, mask in zip(firing, masks) if consistent(mask)]
    least = min(mask["lif_peak"] for mask in masks if consistent(mask))
    most = max(mask["lif_peak"] for mask in masks if not consistent(mask))
    caption = (
        f"IF: some neuron fires under both of the {len(of_consistent)} masks that take one neuron away at both timesteps, and under "
        f"{sum(firing) - sum(of_consistent)} of the {len(masks) - len(of_consistent)} others. LIF: membranes reach {least:.3f} or more "
        f"under the former, {most:.3f} at most under the latter; only a threshold between the two would tell them apart."
    )
    assert all(of_consistent)
    return figure, {"caption": caption, "masks": masks, "fire": sum(firing), "consistent_fire": sum(of_consistent)}


def outcome(mask: tuple) -> dict:
    """What neurons do: IF's potentials before a reset and who fires when (neuron, timestep from 1), and LIF's highest."""
    current = {name: [0.0 if (name, t) in mask else x for t, x in enumerate(inputs)] for name, inputs in INPUTS.items()}
    told: dict = {"masked": [f"{name}{t + 1}" for name, t in mask], "fires": [], "potential": {}}
    for name, inputs in current.items():
        v, seen = 0.0, []
        for t, x in enumerate(inputs):
            v += x
            seen.append(v)
            if v >= THRESHOLD:
                told["fires"].append(f"{name}{t + 1}")
                v = 0.0
        told["potential"][name] = seen
    return told | {"lif_peak": max(leaky(inputs) for inputs in current.values())}


def leaky(inputs: list[float]) -> float:
    """The highest membrane of Spikformer's neuron, found by the neuron itself: the largest threshold at which it fires."""
    import torch

    from models.neuron import lif

    current, low, high = torch.tensor(inputs, dtype=torch.float64)[:, None], 0.0, max(INPUTS["i"] + INPUTS["j"])
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if lif(current, threshold=middle).any() else (low, middle)
    return low


def consistent(mask: dict) -> bool:
    """Whether one neuron is masked at both timesteps."""
    return len({place[0] for place in mask["masked"]}) == 1


def potentials(axis, title: str, told: dict) -> None:
    axis.axhline(THRESHOLD, color=canvas.GREY, ls="--", lw=1)
    axis.text(0.02, THRESHOLD - 0.02, "threshold", color=canvas.GREY, fontsize=8, va="top")
    for (name, seen), colour, marker in zip(told["potential"].items(), (canvas.BLUE, canvas.ORANGE), "os"):
        axis.plot((0, 1, 2), (0, *seen), color=colour, marker=marker, lw=1.5, label=f"neuron {name}")
        for spike in (s for s in told["fires"] if s[0] == name):
            t = int(spike[1])
            axis.annotate("fires", (t, seen[t - 1]), textcoords="offset points", xytext=(-10, 6), color=colour, ha="right")
    axis.set(title=title, xlabel="timestep", xticks=(0, 1, 2), ylim=(-0.05, 1.5), xlim=(-0.05, 2.15))
    axis.legend(loc="upper left")


def table(axis, masks: list[dict]) -> None:
    """All six masks in words: who fires, how far a leaky membrane gets."""
    axis.set_axis_off()
    axis.set_title("All masks of two out of four inputs")
    rows = [
        [" ".join(m["masked"]), "yes" if consistent(m) else "no", ", ".join(m["fires"]) or "–", f"{m['lif_peak']:.3f}"]
        for m in masks
    ]
    heading = ["masked", "consistent", "IF fires", "LIF reaches"]
    cells = axis.table(rows, colLabels=heading, loc="center", cellLoc="center", edges="horizontal")
    cells.scale(1, 1.6)
    cells.auto_set_font_size(False)
    cells.set_fontsize(9)
    for (row, _), cell in cells.get_celld().items():
        cell.set_edgecolor("#C0C0C0")
        if row and consistent(masks[row - 1]):
            cell.set_text_props(weight="bold")
