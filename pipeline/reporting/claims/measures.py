"""How each sentence of baselines/paper_claims.yaml is measured: a number per seed, on one data set."""

import numpy as np
import pandas as pd

from pipeline.reporting.claims.evidence import ALL, Evidence, Unmeasured

LOW, HIGH, NONE, EXIT = {"gamma": "low"}, {"gamma": "high"}, {}, {"exit": True}
AT_SNN, AT_SNN_HIGH, AT_SNN_E = ("at_snn", LOW), ("at_snn", HIGH), ("at_snn_e", LOW | EXIT)
STATIC, CONTROL, TET = ("static", NONE), ("static_control", NONE), ("tet", NONE)
DT_SNN, DT_SNN_EXIT = ("dt_snn", NONE), ("dt_snn", EXIT)
STATIC_2, CONTROL_2 = ("static", {"timesteps": 2}), ("static_control", {"timesteps": 2})


def minus(ours, theirs, key: str = "accuracy"):
    return lambda evidence, dataset: evidence.difference(dataset, ours, theirs, key)


def column(subject, key: str):
    return lambda evidence, dataset: evidence.of(dataset, subject[0], key=key, **subject[1])


def fewer_tokens(ours, theirs):
    """Percent fewer tokens, over blocks and timesteps."""

    def measure(evidence: Evidence, dataset: str):
        return 100 * (1 - tokens(evidence, dataset, ours) / tokens(evidence, dataset, theirs)).dropna()

    return measure


def more_tokens(ours, theirs):
    """How many more tokens over blocks and timesteps, in tokens of a timestep."""
    return lambda evidence, dataset: (tokens(evidence, dataset, ours) - tokens(evidence, dataset, theirs)).dropna()


def tokens(evidence: Evidence, dataset: str, subject) -> pd.Series:
    """Average tokens times timesteps."""
    share, timesteps = (evidence.of(dataset, subject[0], key=key, **subject[1]) for key in ("avg_tokens", "timesteps"))
    return share * timesteps


def halting_saves(evidence: Evidence, dataset: str) -> pd.Series:
    """Average tokens of merging alone at its low gamma minus those of AT-SNN at the same."""
    gamma = evidence.of(dataset, "merge_only", key="gamma", **LOW).iloc[0]
    return evidence.difference(dataset, ("merge_only", LOW), ("at_snn", {"gamma": gamma}), "avg_tokens")


def energy_times(theirs):
    """AT-SNN's energy over another method's."""

    def measure(evidence: Evidence, dataset: str):
        ours, other = (evidence.of(dataset, m, key="energy_nonzero", **o) for m, o in (AT_SNN, theirs))
        return (ours / other).dropna()

    return measure


def patch_splitting_times(evidence: Evidence, dataset: str):
    """AT-SNN's energy in patch splitting over STATIC's."""
    ours, theirs = (evidence.energy(dataset, m, "sps", **o) for m, o in (AT_SNN, STATIC))
    return (ours / theirs).dropna()


def attention_share(evidence: Evidence, dataset: str) -> pd.Series:
    """Attention's share of the energy of a ViT's blocks, by seed."""
    vits = evidence.vits(dataset)
    if not vits:
        raise Unmeasured(f"no ViT on {dataset}")
    share = evidence.modules("ssa") / evidence.modules("ssa", "mlp")
    return share[share.index.isin(vits)].rename(vits)


def shown(figure: str, value):
    """A number that a figure has for each seed."""
    return lambda evidence, dataset: evidence.per_seed(figure, dataset, value)


def grows(halts: list[list[float]]) -> float | None:
    """Share of tokens that halt in the last block where they can minus in the first, mean over timesteps.

    None where fewer than two blocks can halt a token, or none does.
    """
    halts = np.array(halts)
    return float((halts[-1] - halts[0]).mean()) if len(halts) > 1 and halts.any() else None


def slows(accuracy: list[float]) -> float | None:
    """The first step's gain of accuracy minus the last's; None where there is one step only."""
    gains = [after - before for before, after in zip(accuracy, accuracy[1:])]
    return gains[0] - gains[-1] if len(gains) > 1 else None


def minus_vit(key: str):
    """Of consecutive blocks' inputs, mean over blocks and timesteps: Spikformer's minus ViT's of the same seed."""

    def mean(seed: dict) -> float:
        return float(np.mean([x for over_time in seed[key] for x in over_time if x is not None]))

    def measure(evidence: Evidence, dataset: str):
        ours, vit = (evidence.per_seed("block_similarity", dataset, mean, backbone) for backbone in ("spikformer", "vit"))
        return (ours - vit).dropna()

    return measure


def masked(least: bool, sign: int):
    """TAM - RM where the fewest or the most tokens are masked, times the sign."""

    def value(seed: dict) -> float:
        pick = min if least else max
        return sign * seed["difference"][seed["masked"].index(pick(seed["masked"]))]

    return shown("masking", value)


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
    "accuracy converges over blocks": shown("accuracy_by_block_and_timestep", lambda seed: slows(seed["accuracy_by_block"])),
    "accuracy converges over timesteps": shown(
        "accuracy_by_block_and_timestep", lambda seed: slows(seed["accuracy_by_timestep"])
    ),
    "inputs of blocks are more alike than a ViT's": minus_vit("cosine"),
    "inputs of blocks have low estimation errors": minus_vit("error"),
    "2D halting is more accurate": shown("halting_axes", lambda seed: seed["2d_minus_1d_accuracy"]),
    "2D halting removes more tokens": shown("halting_axes", lambda seed: -seed["2d_minus_1d_tokens"]),
    "background halts first": shown("blocks_per_token", lambda seed: seed["background_halts_earlier_by_blocks"]),
    "more tokens halt in later blocks": shown("merged_and_halted", lambda seed: grows(seed["halts_here"])),
    "easy samples use few tokens": shown("easy_and_hard", lambda seed: seed["easy_share"]),
    "hard samples use many tokens": shown("easy_and_hard", lambda seed: seed["hard_share"]),
    "attention takes most of a ViT's energy": attention_share,
    "patch splitting costs as much as before": patch_splitting_times,
    "less energy than STATIC": energy_times(STATIC),
    "less energy than STATIC at T = 3": energy_times(("static", {"timesteps": 3})),
    "less energy than TET as trained": energy_times(TET),
    "less energy than TET at all timesteps": energy_times(("tet", {"timesteps": ALL})),
    "less energy than DT-SNN": energy_times(DT_SNN),
    "random masking is better for few tokens": masked(least=True, sign=-1),
    "consistent masking is better for many tokens": masked(least=False, sign=1),
}
