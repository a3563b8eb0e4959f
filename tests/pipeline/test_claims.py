"""The rule that decides claims, and the claims themselves on readings and figures that are written out here."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.claims import DOES_NOT, HOLDS, UNKNOWN, claims, judge, read_sentences
from pipeline.paper_claims import MEASURES
from pipeline.scale import EXPERIMENTS, load
from pipeline.table1 import paper_rows


@pytest.mark.parametrize(
    "values, bound, below, verdict",
    (
        ([1.0, 1.1, 0.9], 0.0, False, HOLDS),
        ([1.0, 1.1, 0.9], 0.0, True, DOES_NOT),
        ([-1.0, -1.1, -0.9], 0.0, False, DOES_NOT),
        ([1.0, -0.5, 0.4], 0.0, False, UNKNOWN),
        ([5.0], 0.0, False, UNKNOWN),  # one seed has no spread
        ([0.28, 0.28], 0.28, True, HOLDS),  # at most is met
        ([0.0, 0.0], 0.0, False, DOES_NOT),  # more is not
        ([0.2891, 0.2891, 0.2891], 0.28, True, DOES_NOT),
    ),
)
def test_a_claim_holds_where_the_interval_lies_beyond_the_bound(values, bound, below, verdict):
    assert judge(pd.Series(values), bound, below)["verdict"] == verdict


def test_the_interval_is_students():
    """Three values, 2 degrees of freedom: t = 4.302653 (any table); mean 2, standard deviation 1."""
    told = judge(pd.Series([1.0, 2.0, 3.0]), 0.0, False)
    half = 4.302653 / 3**0.5
    assert (told["low"], told["high"]) == pytest.approx((2 - half, 2 + half), abs=1e-5) and told["verdict"] == UNKNOWN


def reading(method, seed, accuracy, *, timesteps=4, tokens=1.0, gamma="", exit="", energy=1.0):
    parent = "" if method == "static" else f"static-s{seed}"
    told = {"method": method, "seed": seed, "accuracy": accuracy, "timesteps": timesteps, "avg_tokens": tokens, "gamma": gamma}
    told |= {"run": f"{method}-s{seed}", "parent": parent, "exit": exit, "energy_nonzero": energy, "as_in_paper": True}
    return told | {"dataset": "cifar100", "trained_timesteps": 4}


@pytest.fixture
def campaign(tmp_path):
    lines = []
    for seed in (0, 1, 2):
        lines += [reading("static", seed, 70 + seed, energy=8.0), reading("static", seed, 60 + seed, timesteps=2, energy=4.0)]
        lines += [reading("static_control", seed, 71 + seed), reading("dt_snn", seed, 69 + seed, energy=8.0)]
        lines.append(reading("at_snn", seed, 71 + seed + 0.01 * seed, tokens=0.8, gamma=5, energy=6.0))
        lines.append(reading("at_snn_e", seed, 70.5 + seed, tokens=0.8, gamma=5, timesteps=2.5, exit="at_snn_e"))
    (tmp_path / "tables").mkdir()
    (tmp_path / "figures").mkdir()
    pd.DataFrame(lines).to_csv(tmp_path / "tables/readings.csv", index=False)
    seeds = [{"evaluation": f"static-s{seed}", "difference": [-1.0 - 0.1 * seed, 2.0 + 0.1 * seed]} for seed in (0, 1, 2)]
    (tmp_path / "figures/masking.json").write_text(json.dumps({"missing": None, "seeds": seeds}))
    data = SimpleNamespace(name="cifar100")
    evaluations = [SimpleNamespace(id=f"static-s{seed}", run=SimpleNamespace(data=data)) for seed in (0, 1, 2)]
    experiment = SimpleNamespace(scale="test", figures={"masking": None, "halting_axes": None})
    return SimpleNamespace(folder=tmp_path, experiment=experiment, evaluations=evaluations)


def test_differences_are_taken_seed_by_seed_and_what_is_not_measured_says_so(campaign):
    told = claims(campaign).set_index("claim")
    static = told.loc["more accurate than STATIC"]
    assert static.value == pytest.approx(1.01) and static.spread == pytest.approx(0.01) and static.n == 3
    assert static.verdict == HOLDS and static.stated == 0.72 and static.dataset == "CIFAR-100"
    equal = told.loc["more accurate than STATIC, equal training"]
    assert equal.value == pytest.approx(0.01) and equal.verdict == UNKNOWN, "0, 0.01 and 0.02 points may be chance"
    assert told.loc["better than DT-SNN"].verdict == HOLDS
    assert told.loc["tokens at the low γ"].verdict == DOES_NOT, "0.8 is more than the 0.75 that are printed"
    fewer = told.loc["fewer tokens than the best method"]
    assert fewer.value == pytest.approx(100 * (1 - 0.8 * 2.5 / 4)) and fewer.verdict == HOLDS
    assert (
        told.loc["less energy than STATIC"].value == pytest.approx(0.75) and told.loc["less energy than STATIC"].verdict == HOLDS
    )
    assert told.loc["random masking is better for few tokens"].value == pytest.approx(1.1)
    assert told.loc["consistent masking is better for many tokens"].verdict == HOLDS
    tet, axes = told.loc["better than TET"], told.loc["2D halting is more accurate"]
    assert (tet.verdict, tet.note, tet.n) == (UNKNOWN, "no tet on cifar100", 0)
    assert (axes.verdict, axes.note) == (UNKNOWN, "figure halting_axes is not drawn")


def test_a_figure_without_its_data_decides_nothing(campaign):
    path = campaign.folder / "figures/masking.json"
    path.write_text('{"missing": ')
    assert "are damaged" in claims(campaign).set_index("claim").loc["random masking is better for few tokens"].note
    path.write_text(json.dumps({"missing": None, "seeds": [{"evaluation": "static-s0"}]}))
    assert "lacks what" in claims(campaign).set_index("claim").loc["random masking is better for few tokens"].note
    path.write_text(json.dumps({"missing": "an evaluation"}))
    assert (
        claims(campaign).set_index("claim").loc["random masking is better for few tokens"].note == "figure masking lacks its data"
    )


def test_every_sentence_has_its_measure_one_bound_and_evidence_that_exists():
    figures, sentences = load("paper", EXPERIMENTS).figures, read_sentences()
    assert sentences.keys() == MEASURES.keys() and len(sentences) > 20
    for name, claim in sentences.items():
        assert claim["evidence"] in figures or claim["evidence"].startswith("tables/"), name
        assert ("at_most" in claim) != ("more_than" in claim), name


def test_the_numbers_that_the_paper_states_are_those_of_its_table():
    """Gaps between rows of Table 1, worked out from the transcription."""
    paper = paper_rows()

    def accuracy(dataset, method, gamma=None, timesteps=4):
        rows = paper[(paper.dataset == dataset) & (paper.method == method) & (paper.timesteps == timesteps)]
        rows = rows if gamma is None else paper[(paper.dataset == dataset) & (paper.method == method) & (paper.gamma == gamma)]
        return rows.accuracy.iloc[0]

    stated = {name: claim.get("stated") for name, claim in read_sentences().items()}
    low = {"cifar10": 25, "cifar100": 5, "tiny_imagenet": 3}
    for name, method in (("more accurate than STATIC", "static"), ("better than DT-SNN", "dt_snn")):
        for dataset, value in stated[name].items():
            gap = accuracy(dataset, "at_snn", low[dataset]) - accuracy(dataset, method)
            assert value == pytest.approx(gap, abs=0.006), (name, dataset)
    for dataset, value in stated["early exit costs little"].items():
        gap = accuracy(dataset, "at_snn", low[dataset]) - accuracy(dataset, "at_snn_e", low[dataset])
        assert value == pytest.approx(gap, abs=0.006)
    for dataset, value in stated["better than TET"].items():
        trained = 4 if dataset == "tiny_imagenet" else 2
        assert value == pytest.approx(
            accuracy(dataset, "at_snn", low[dataset]) - accuracy(dataset, "tet", None, trained), abs=0.006
        )
