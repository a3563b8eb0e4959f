"""Compute the two neurons of section 4.3 (Fig. 10a and b): which masks of two of their four inputs let one of them fire."""
# Tested in tests/pipeline/reporting/figures/test_examples.py

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
MASKS_DRAWN = {"(a) random masking": (("i", 1), ("j", 2)), "(b) neuron j masked": (("j", 1), ("j", 2))}
COLOURS = {"i": canvas.BLUE, "j": canvas.ORANGE}


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a row per neuron model: both of the paper's masks, and the highest potential under all six."""
    cases = {model: [outcome(model, mask) for mask in combinations(PLACES, 2)] for model in MODELS}
    unmasked = {model: outcome(model, ()) for model in MODELS}
    fire = {model: sum(bool(case["fires"]) for case in model_cases) for model, model_cases in cases.items()}
    bounds = {model: peak_bounds(model_cases) for model, model_cases in cases.items()}
    numbers = {"cases": cases, "unmasked": unmasked, "masks_that_fire": fire, "peak_bounds": bounds}
    return paint(cases), {"caption": caption(cases, unmasked, bounds)} | numbers


def outcome(model: str, mask: tuple) -> dict:
    """Compute both neurons under a mask: potentials before a reset at each timestep, firings, the highest potential."""
    inputs = {name: [0.0 if (name, t) in mask else x for t, x in enumerate(received, 1)] for name, received in INPUTS.items()}
    potential = {name: MODELS[model](received) for name, received in inputs.items()}
    fires = [f"{name}{t}" for name, v in potential.items() for t, x in enumerate(v, 1) if x >= THRESHOLD]
    case = {"masked": [f"{name}{t}" for name, t in mask], "consistent": len({name for name, _ in mask}) == 1}
    return case | {"inputs": inputs, "potential": potential, "fires": fires, "peak": max(map(max, potential.values()))}


def integrate(inputs: list[float]) -> list[float]:
    """Integrate and fire (IF): v += x, hard reset to 0; return the potential before the reset at each timestep."""
    v, potentials = 0.0, []
    for x in inputs:
        potentials.append(v + x)
        v = 0.0 if potentials[-1] >= THRESHOLD else potentials[-1]
    return potentials


def leak(inputs: list[float]) -> list[float]:
    """Run LIF, the network's own neuron, and return its potentials before the reset, each from a copy that can't fire."""
    import torch

    from models.neuron import lif

    membrane, potentials = torch.zeros((), dtype=torch.float64), []
    for x in torch.tensor(inputs, dtype=torch.float64)[:, None]:
        charged = membrane.clone()
        lif(x, threshold=float("inf"), membrane=charged)
        lif(x, threshold=THRESHOLD, membrane=membrane)
        potentials.append(charged.item())
    return potentials


MODELS = {"IF": integrate, "LIF": leak}


def peak_bounds(cases: list[dict]) -> list[float]:
    """Find the highest peak of inconsistent masks and the lowest of consistent ones: a threshold between tells them apart."""
    peaks = {kind: [case["peak"] for case in cases if case["consistent"] == kind] for kind in (False, True)}
    return [max(peaks[False]), min(peaks[True])]


def caption(cases: dict, unmasked: dict, bounds: dict) -> str:
    """Write the caption: under how many masks each neuron model fires, and which scaling would make LIF do as IF does."""

    def firing(model: str, consistent: bool) -> str:
        fires = [bool(case["fires"]) for case in cases[model] if case["consistent"] == consistent]
        return f"{sum(fires)} of the {len(fires)}"

    low, high = bounds["LIF"]
    text = f"IF: a neuron fires under {firing('IF', True)} masks that take one neuron away, under {firing('IF', False)} others. "
    text += f"LIF: under {firing('LIF', True)} and {firing('LIF', False)}"
    text += ", and under no mask either. " if not unmasked["LIF"]["fires"] else ". "
    text += f"Scaled inputs (times {THRESHOLD / high:.2f} to {THRESHOLD / low:.2f}) would make LIF do as IF does: "
    return text + f"its potential reaches {high:.3f} where one neuron is taken away, {low:.3f} at most elsewhere."


def paint(cases: dict):
    """Draw a row per neuron model: membranes over time under two masks, and the highest potentials of all."""
    figure, axes = canvas.panels(len(cases), 3, width=10, height=5.8, gridspec_kw={"width_ratios": (1, 1, 1.35)}, sharey=True)
    for row, (model, model_cases) in zip(axes, cases.items()):
        row[0].set_ylabel(f"{model}: membrane potential")
        for axis, (name, mask) in zip(row, MASKS_DRAWN.items()):
            draw_potentials(axis, next(case for case in model_cases if case["masked"] == [f"{n}{t}" for n, t in mask]))
            axis.set_title(name if model == "IF" else "")
        draw_peaks(row[2], model_cases)
    axes[0, 2].set_title("highest potential, all six masks")
    axes[0, 0].set_ylim(0, 1.4)
    for axis in axes.flat:
        axis.axhline(THRESHOLD, color=canvas.RED, ls="--", lw=1.2)
    axes[0, 0].text(0.05, THRESHOLD + 0.02, "threshold", color=canvas.RED, fontsize=8)
    return figure


def draw_potentials(axis, case: dict) -> None:
    """Draw both membranes over time; below, the inputs they receive."""
    for (name, potentials), marker in zip(case["potential"].items(), "os"):
        axis.plot((0, 1, 2), (0, *potentials), color=COLOURS[name], marker=marker, lw=2, clip_on=False, zorder=3)
        for t, v in enumerate(potentials, 1):
            if f"{name}{t}" in case["fires"]:
                axis.plot(t, v, marker="*", ms=16, color=COLOURS[name], clip_on=False, zorder=4)
                axis.annotate(f"{name} fires", (t, v), (-12, 4), textcoords="offset points", ha="right", color=COLOURS[name])
        axis.annotate(
            name, (2, potentials[-1]), (9, 0), textcoords="offset points", va="center", color=COLOURS[name], weight="bold"
        )
    labels = [[f"{x:g}" if x else "masked" for x in received] for received in case["inputs"].values()]
    axis.set_xticks((0, 1, 2), ["\ni:\nj:", *(f"t = {t}\n{i}\n{j}" for t, (i, j) in enumerate(zip(*labels), 1))])
    axis.set_xlim(-0.15, 2.25)


def draw_peaks(axis, cases: list[dict]) -> None:
    """Draw the highest potential of either neuron under each mask, masks of one neuron first."""
    ordered = sorted(cases, key=lambda case: not case["consistent"])
    for place, case in enumerate(ordered):
        axis.bar(place, case["peak"], width=0.65, color=canvas.GREEN if case["consistent"] else "#BBBBBB")
        axis.text(place, case["peak"] + 0.02, f"{case['peak']:.3g}", ha="center", fontsize=9)
    axis.text(0.5, 1.25, "one neuron", ha="center", fontsize=9, color=canvas.GREEN, weight="bold")
    axis.text(3.5, 1.25, "one input of each neuron", ha="center", fontsize=9, color="#666666", weight="bold")
    axis.set_xticks(range(len(ordered)), [", ".join(case["masked"]) for case in ordered])
    axis.set_xlabel("inputs masked (neuron and timestep)")
    axis.grid(False)
