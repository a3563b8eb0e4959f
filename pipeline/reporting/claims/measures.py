"""Measure each sentence of baselines/paper_claims.yaml: a number per seed, on one data set.

A method is written as its name and which of its rows are meant, as the arguments of `Evidence.rows`. The functions below
that return functions make an entry of MEASURES: measure(evidence, dataset) -> a number per seed.
"""
# Tested in tests/pipeline/reporting/claims/test_judge.py

import numpy as np
import pandas as pd

from pipeline.reporting.claims.evidence import ALL, Evidence, Unmeasured

LOW, HIGH, NONE, EXIT = {"gamma": "low"}, {"gamma": "high"}, {}, {"exit": True}
AT_SNN, AT_SNN_HIGH, AT_SNN_E = ("at_snn", LOW), ("at_snn", HIGH), ("at_snn_e", LOW | EXIT)
STATIC, CONTROL, TET = ("static", NONE), ("static_control", NONE), ("tet", NONE)
DT_SNN, DT_SNN_EXIT = ("dt_snn", NONE), ("dt_snn", EXIT)
STATIC_2, CONTROL_2 = ("static", {"timesteps": 2}), ("static_control", {"timesteps": 2})


def minus(minuend, subtrahend, key: str = "accuracy"):
    """Subtract one method's column from another's: accuracy in points, average tokens as shares."""
    return lambda evidence, dataset: evidence.difference(dataset, minuend, subtrahend, key)


def column(method, key: str):
    """Take one column of a method's rows."""
    return lambda evidence, dataset: evidence.column(dataset, method[0], key=key, **method[1])


def fewer_tokens(method, reference):
    """Compute how many percent fewer tokens a method uses than the reference, over blocks and timesteps."""

    def measure(evidence: Evidence, dataset: str):
        return 100 * (1 - tokens(evidence, dataset, method) / tokens(evidence, dataset, reference)).dropna()

    return measure


def more_tokens(method, reference):
    """Compute how many more tokens a method uses than the reference, over blocks and timesteps; 1 is all tokens of a timestep."""
    return lambda evidence, dataset: (tokens(evidence, dataset, method) - tokens(evidence, dataset, reference)).dropna()


def tokens(evidence: Evidence, dataset: str, method) -> pd.Series:
    """Multiply average tokens (share of all) by timesteps."""
    share, timesteps = (evidence.column(dataset, method[0], key=key, **method[1]) for key in ("avg_tokens", "timesteps"))
    return share * timesteps


def halting_saves(evidence: Evidence, dataset: str) -> pd.Series:
    """Subtract AT-SNN's average tokens from those of merging alone, both at the low gamma of merging alone."""
    gamma = evidence.column(dataset, "merge_only", key="gamma", **LOW).iloc[0]
    return evidence.difference(dataset, ("merge_only", LOW), ("at_snn", {"gamma": gamma}), "avg_tokens")


def energy_ratio(reference):
    """Divide AT-SNN's energy by another method's."""

    def measure(evidence: Evidence, dataset: str):
        at_snn, other = (evidence.column(dataset, m, key="energy_nonzero", **o) for m, o in (AT_SNN, reference))
        return (at_snn / other).dropna()

    return measure


def patch_splitting_ratio(evidence: Evidence, dataset: str):
    """Divide AT-SNN's energy in patch splitting by STATIC's."""
    at_snn, static = (evidence.energy(dataset, m, "sps", **o) for m, o in (AT_SNN, STATIC))
    return (at_snn / static).dropna()


def attention_share(evidence: Evidence, dataset: str) -> pd.Series:
    """Compute attention's share of the energy of a ViT's blocks, by seed."""
    vits = evidence.vits(dataset)
    if not vits:
        raise Unmeasured(f"no ViT on {dataset}")
    share = evidence.modules("ssa") / evidence.modules("ssa", "mlp")
    return share[share.index.isin(vits)].rename(vits)


def from_figure(figure: str, value):
    """Compute value(numbers of a seed) for each seed that a figure shows."""
    return lambda evidence, dataset: evidence.per_seed(figure, dataset, value)


def grows(halts: list[list[float]]) -> float | None:
    """Subtract the share of tokens that halt in the first block from that in the last (of blocks where they can), mean over T.

    halts: shares [blocks, timesteps].
    None where fewer than two blocks can halt a token, or none does.
    """
    halts = np.array(halts)
    return float((halts[-1] - halts[0]).mean()) if len(halts) > 1 and halts.any() else None


def slows(accuracy: list[float]) -> float | None:
    """Subtract the last step's gain of accuracy from the first's; None where there is one step only."""
    gains = [after - before for before, after in zip(accuracy, accuracy[1:])]
    return gains[0] - gains[-1] if len(gains) > 1 else None


def minus_vit(key: str):
    """Subtract ViT's value from Spikformer's of the same seed: `key` of consecutive blocks' inputs, mean over blocks and T."""

    def mean(seed: dict) -> float:
        return float(np.mean([x for over_time in seed[key] for x in over_time if x is not None]))

    def measure(evidence: Evidence, dataset: str):
        spikformer, vit = (evidence.per_seed("block_similarity", dataset, mean, backbone) for backbone in ("spikformer", "vit"))
        return (spikformer - vit).dropna()

    return measure


def masking_difference(least: bool, sign: int):
    """Take TAM - RM where the fewest or the most tokens are masked, times the sign."""

    def value(seed: dict) -> float:
        pick = min if least else max
        return sign * seed["difference"][seed["masked"].index(pick(seed["masked"]))]

    return from_figure("masking", value)


MEASURES = {
    "more accurate than STATIC": minus(AT_SNN, STATIC),
    "more accurate than STATIC, equal training": minus(AT_SNN, CONTROL),
    "less accurate than STATIC on TinyImageNet": minus(STATIC, AT_SNN),
    "tokens at the low γ": column(AT_SNN, "avg_tokens"),
    "a higher γ saves tokens": minus(AT_SNN, AT_SNN_HIGH, "avg_tokens"),
    "a lower γ is more accurate": minus(AT_SNN, AT_SNN_HIGH),
    "fewer tokens than the best method": fewer_tokens(AT_SNN_HIGH, STATIC),
    "... while conserving higher accuracy": minus(AT_SNN_HIGH, STATIC),
    "... equal training": minus(AT_SNN_HIGH, CONTROL),
    "better than TET": minus(AT_SNN, TET),
    "better than DT-SNN": minus(AT_SNN, DT_SNN_EXIT),
    "better than STATIC at two timesteps": minus(AT_SNN_HIGH, STATIC_2),
    "better than STATIC at two timesteps, equal training": minus(AT_SNN_HIGH, CONTROL_2),
    "... with fewer tokens": more_tokens(AT_SNN_HIGH, STATIC_2),
    "better than TET at two timesteps": minus(AT_SNN, ("tet", {"timesteps": 2})),
    "low γ better than STATIC at two timesteps": minus(AT_SNN, STATIC_2),
    "better than DT-SNN's exit": minus(AT_SNN, DT_SNN_EXIT),
    "early exit costs little": minus(AT_SNN, AT_SNN_E),
    "early exit saves tokens": fewer_tokens(AT_SNN_E, AT_SNN),
    "merging helps accuracy": minus(AT_SNN, ("halt_only", NONE)),
    "halting saves tokens beside merging": halting_saves,
    "accuracy converges over blocks": from_figure(
        "accuracy_by_block_and_timestep", lambda seed: slows(seed["accuracy_by_block"])
    ),
    "accuracy converges over timesteps": from_figure(
        "accuracy_by_block_and_timestep", lambda seed: slows(seed["accuracy_by_timestep"])
    ),
    "inputs of blocks are more alike than a ViT's": minus_vit("cosine"),
    "inputs of blocks have low estimation errors": minus_vit("error"),
    "2D halting is more accurate": from_figure("halting_axes", lambda seed: seed["2d_minus_1d_accuracy"]),
    "2D halting removes more tokens": from_figure("halting_axes", lambda seed: -seed["2d_minus_1d_tokens"]),
    "background halts first": from_figure("blocks_per_token", lambda seed: seed["background_halts_earlier_by_blocks"]),
    "more tokens halt in later blocks": from_figure("merged_and_halted", lambda seed: grows(seed["halts_here"])),
    "easy samples use few tokens": from_figure("easy_and_hard", lambda seed: seed["easy_share"]),
    "hard samples use many tokens": from_figure("easy_and_hard", lambda seed: seed["hard_share"]),
    "attention takes most of a ViT's energy": attention_share,
    "patch splitting costs as much as before": patch_splitting_ratio,
    "less energy than STATIC": energy_ratio(STATIC),
    "less energy than STATIC at T = 3": energy_ratio(("static", {"timesteps": 3})),
    "less energy than TET as trained": energy_ratio(TET),
    "less energy than TET at all timesteps": energy_ratio(("tet", {"timesteps": ALL})),
    "less energy than DT-SNN": energy_ratio(DT_SNN),
    "random masking is better for few tokens": masking_difference(least=True, sign=-1),
    "consistent masking is better for many tokens": masking_difference(least=False, sign=1),
}
