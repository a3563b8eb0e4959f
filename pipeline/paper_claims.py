"""How each sentence of baselines/paper_claims.yaml is measured: a number per seed, on one data set."""

import pandas as pd

from pipeline.evidence import Evidence

LOW, HIGH, NONE = {"gamma": "low"}, {"gamma": "high"}, {}
AT_SNN, STATIC, CONTROL = ("at_snn", LOW), ("static", NONE), ("static_control", NONE)


def minus(ours, theirs, key: str = "accuracy"):
    return lambda evidence, dataset: evidence.difference(dataset, ours, theirs, key)


def column(method: str, options: dict, key: str):
    return lambda evidence, dataset: evidence.of(dataset, method, key=key, **options)


def fewer_tokens(evidence: Evidence, dataset: str):
    """Percent fewer tokens, over blocks and timesteps, than STATIC at all of its timesteps."""
    exit_ = {key: evidence.of(dataset, "at_snn_e", key=key, **LOW) for key in ("avg_tokens", "timesteps")}
    return 100 * (1 - exit_["avg_tokens"] * exit_["timesteps"] / evidence.of(dataset, "static", key="timesteps")).dropna()


def energy_times(method: str, options: dict):
    """AT-SNN's energy over another method's."""

    def measure(evidence: Evidence, dataset: str):
        ours, theirs = (evidence.of(dataset, m, key="energy_nonzero", **o) for m, o in (AT_SNN, (method, options)))
        return (ours / theirs).dropna()

    return measure


def shown(figure: str, value):
    """A number that a figure has for each seed."""
    return lambda evidence, dataset: evidence.per_seed(figure, dataset, value)


def over_time(halted) -> float | None:
    """The last timestep's share of halted tokens minus the first's, mean over blocks; None where nothing halts."""
    if not any(any(row) for row in halted):
        return None
    return sum(row[-1] - row[0] for row in halted) / len(halted)


def slows(accuracy: list[float]) -> float | None:
    """The first step's gain of accuracy minus the last's; None where there is one step only."""
    gains = [after - before for before, after in zip(accuracy, accuracy[1:])]
    return gains[0] - gains[-1] if len(gains) > 1 else None


def more_alike_than_vit(evidence: Evidence, dataset: str) -> pd.Series:
    """Cosine of consecutive inputs in Spikformer, mean over blocks and timesteps, minus ViT's of the same seed."""
    found: dict[str, dict[int, float]] = {"spikformer": {}, "spikingformer": {}, "vit": {}}
    runs = {e.id: e.run for e in evidence.campaign.evaluations}
    for told in evidence.seeds("block_similarity", dataset):
        run, values = runs[told["evaluation"]], [x for over_time in told["cosine"] for x in over_time]
        found[run.network["backbone"]][run.seed] = sum(values) / len(values)
    return (pd.Series(found["spikformer"], dtype=float) - pd.Series(found["vit"], dtype=float)).dropna()


MEASURES = {
    "more accurate than STATIC": minus(AT_SNN, STATIC),
    "more accurate than STATIC, equal training": minus(AT_SNN, CONTROL),
    "tokens at the low γ": column("at_snn", LOW, "avg_tokens"),
    "tokens at the high γ": column("at_snn", HIGH, "avg_tokens"),
    "fewer tokens than the best method": fewer_tokens,
    "... while conserving higher accuracy": minus(("at_snn_e", LOW), STATIC),
    "better than TET": minus(AT_SNN, ("tet", NONE)),
    "better than DT-SNN": minus(AT_SNN, ("dt_snn", NONE)),
    "better than STATIC at two timesteps": minus(("at_snn", HIGH), ("static", {"timesteps": 2})),
    "early exit costs little": minus(AT_SNN, ("at_snn_e", LOW)),
    "merging helps accuracy": minus(AT_SNN, ("halt_only", NONE)),
    "halting saves tokens beside merging": minus(("merge_only", LOW), AT_SNN, "avg_tokens"),
    "accuracy converges over blocks": shown("accuracy_by_block_and_timestep", lambda seed: slows(seed["accuracy_by_block"])),
    "accuracy converges over timesteps": shown(
        "accuracy_by_block_and_timestep", lambda seed: slows(seed["accuracy_by_timestep"])
    ),
    "inputs of blocks are more alike than a ViT's": more_alike_than_vit,
    "2D halting is more accurate": shown("halting_axes", lambda seed: seed["2d_minus_1d_accuracy"]),
    "2D halting removes more tokens": shown("halting_axes", lambda seed: -seed["2d_minus_1d_tokens"]),
    "background halts first": shown("blocks_per_token", lambda seed: seed["background_halts_earlier_by_blocks"]),
    "more halt at later timesteps": shown("merged_and_halted", lambda seed: over_time(seed["halted"])),
    "more halt in later blocks": shown("merged_and_halted", lambda seed: over_time(list(zip(*seed["halted"])))),
    "easy samples use few tokens": shown("easy_and_hard", lambda seed: seed["easy_share"]),
    "hard samples use many tokens": shown("easy_and_hard", lambda seed: seed["hard_share"]),
    "less energy than STATIC": energy_times("static", NONE),
    "less energy than STATIC at T = 3": energy_times("static", {"timesteps": 3}),
    "less energy than DT-SNN": energy_times("dt_snn", NONE),
    "random masking is better for few tokens": shown("masking", lambda seed: -seed["difference"][0]),
    "consistent masking is better for many tokens": shown("masking", lambda seed: seed["difference"][-1]),
}
