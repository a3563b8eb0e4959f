"""The two neurons of section 4.3 (Fig. 10a and b), computed: which masks of two of their four inputs let one of them fire."""

from itertools import combinations

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.reporting.drawing import canvas

TITLE = "Masking two of four inputs of two neurons (Fig. 10a, b)"
DEFINITION = (
    "Neurons i and j receive (0.3, 0.8) and (0.5, 0.6) at two timesteps and fire at 1; two of the four inputs are masked, that is 0. "
    "Reading: the paper does not name the neuron. IF, v += x, adds its inputs up, as the example's statement needs; LIF, "
    "v += (x - v) / 2, is the neuron of the network. Potentials are those before a reset."
)
MOST_EVALUATIONS = 0
INPUTS = {"i": (0.3, 0.8), "j": (0.5, 0.6)}  # section 4.3
THRESHOLD = 1.0
PLACES = [(name, t) for name in INPUTS for t in (1, 2)]
SHOWN = {"(a) random masking": (("i", 1), ("j", 2)), "(b) neuron j masked": (("j", 1), ("j", 2))}
COLOURS = {"i": canvas.BLUE, "j": canvas.ORANGE}


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A row per neuron model: both cases, and how far all six masks get."""
    cases = {model: [outcome(model, mask) for mask in combinations(PLACES, 2)] for model in MODELS}
    unmasked = {model: outcome(model, ()) for model in MODELS}
    fire = {model: sum(bool(case["fires"]) for case in of) for model, of in cases.items()}
    bounds = {model: between(of) for model, of in cases.items()}
    numbers = {"cases": cases, "unmasked": unmasked, "masks_that_fire": fire, "peak_bounds": bounds}
    return paint(cases), {"caption": caption(cases, unmasked, bounds)} | numbers


def outcome(model: str, mask: tuple) -> dict:
    """What becomes of both neurons under a mask: potentials before a reset at each timestep, who fires, the highest potential."""
    inputs = {name: [0.0 if (name, t) in mask else x for t, x in enumerate(given, 1)] for name, given in INPUTS.items()}
    potential = {name: MODELS[model](given) for name, given in inputs.items()}
    fires = [f"{name}{t}" for name, v in potential.items() for t, x in enumerate(v, 1) if x >= THRESHOLD]
    told = {"masked": [f"{name}{t}" for name, t in mask], "consistent": len({name for name, _ in mask}) == 1}
    return told | {"inputs": inputs, "potential": potential, "fires": fires, "peak": max(map(max, potential.values()))}


def integrate(inputs: list[float]) -> list[float]:
    """IF: v += x, hard reset to 0."""
    v, seen = 0.0, []
    for x in inputs:
        seen.append(v + x)
        v = 0.0 if seen[-1] >= THRESHOLD else seen[-1]
    return seen


def leak(inputs: list[float]) -> list[float]:
    """LIF: the network's own neuron, timestep by timestep; one that can't fire shows the potential before the reset."""
    import torch

    from models.neuron import lif

    membrane, seen = torch.zeros((), dtype=torch.float64), []
    for x in torch.tensor(inputs, dtype=torch.float64)[:, None]:
        charged = membrane.clone()
        lif(x, threshold=float("inf"), membrane=charged)
        lif(x, threshold=THRESHOLD, membrane=membrane)
        seen.append(charged.item())
    return seen


MODELS = {"IF": integrate, "LIF": leak}


def between(cases: list[dict]) -> list[float]:
    """The highest peak of a mask that is not consistent, and the lowest of one that is: a threshold between tells them apart."""
    peaks = {kind: [case["peak"] for case in cases if case["consistent"] == kind] for kind in (False, True)}
    return [max(peaks[False]), min(peaks[True])]


def caption(cases: dict, unmasked: dict, bounds: dict) -> str:
    def firing(model: str, consistent: bool) -> str:
        own = [bool(case["fires"]) for case in cases[model] if case["consistent"] == consistent]
        return f"{sum(own)} of the {len(own)}"

    low, high = bounds["LIF"]
    said = f"IF: a neuron fires under {firing('IF', True)} masks that take one neuron away, under {firing('IF', False)} others. "
    said += f"LIF: under {firing('LIF', True)} and {firing('LIF', False)}"
    said += ", and under no mask either. " if not unmasked["LIF"]["fires"] else ". "
    said += f"Scaled inputs (times {THRESHOLD / high:.2f} to {THRESHOLD / low:.2f}) would make LIF do as IF does: "
    return said + f"its potential reaches {high:.3f} where one neuron is taken away, {low:.3f} at most elsewhere."


def paint(cases: dict):
    figure, axes = canvas.panels(len(cases), 3, width=10, height=5.8, gridspec_kw={"width_ratios": (1, 1, 1.35)}, sharey=True)
    for row, (model, of) in zip(axes, cases.items()):
        row[0].set_ylabel(f"{model}: membrane potential")
        for axis, (name, mask) in zip(row, SHOWN.items()):
            potentials(axis, next(case for case in of if case["masked"] == [f"{n}{t}" for n, t in mask]))
            axis.set_title(name if model == "IF" else "")
        peaks(row[2], of)
    axes[0, 2].set_title("highest potential, all six masks")
    axes[0, 0].set_ylim(0, 1.4)
    for axis in axes.flat:
        axis.axhline(THRESHOLD, color=canvas.RED, ls="--", lw=1.2)
    axes[0, 0].text(0.05, THRESHOLD + 0.02, "threshold", color=canvas.RED, fontsize=8)
    return figure


def potentials(axis, case: dict) -> None:
    """Both membranes over time; below, what they receive."""
    for (name, seen), marker in zip(case["potential"].items(), "os"):
        axis.plot((0, 1, 2), (0, *seen), color=COLOURS[name], marker=marker, lw=2, clip_on=False, zorder=3)
        for t, v in enumerate(seen, 1):
            if f"{name}{t}" in case["fires"]:
                axis.plot(t, v, marker="*", ms=16, color=COLOURS[name], clip_on=False, zorder=4)
                axis.annotate(f"{name} fires", (t, v), (-12, 4), textcoords="offset points", ha="right", color=COLOURS[name])
        axis.annotate(name, (2, seen[-1]), (9, 0), textcoords="offset points", va="center", color=COLOURS[name], weight="bold")
    shown = [[f"{x:g}" if x else "masked" for x in given] for given in case["inputs"].values()]
    axis.set_xticks((0, 1, 2), ["\ni:\nj:", *(f"t = {t}\n{i}\n{j}" for t, (i, j) in enumerate(zip(*shown), 1))])
    axis.set_xlim(-0.15, 2.25)


def peaks(axis, cases: list[dict]) -> None:
    """The highest potential of either neuron under each mask, masks of one neuron first."""
    ordered = sorted(cases, key=lambda case: not case["consistent"])
    for place, case in enumerate(ordered):
        axis.bar(place, case["peak"], width=0.65, color=canvas.GREEN if case["consistent"] else "#BBBBBB")
        axis.text(place, case["peak"] + 0.02, f"{case['peak']:.3g}", ha="center", fontsize=9)
    axis.text(0.5, 1.25, "one neuron", ha="center", fontsize=9, color=canvas.GREEN, weight="bold")
    axis.text(3.5, 1.25, "one input of each neuron", ha="center", fontsize=9, color="#666666", weight="bold")
    axis.set_xticks(range(len(ordered)), [", ".join(case["masked"]) for case in ordered])
    axis.set_xlabel("inputs masked (neuron and timestep)")
    axis.grid(False)
