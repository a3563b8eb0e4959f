"""The rule that decides claims, and the claims themselves on readings and figures that are written out here."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.campaign.read_declaration import EXPERIMENTS, load
from pipeline.command_line import CATALOGUE
from pipeline.core.errors import UserError
from pipeline.reporting.claims.judge import DOES_NOT, HOLDS, UNKNOWN, claims, judge, read_sentences
from pipeline.reporting.claims.measures import MEASURES, grows
from pipeline.reporting.tables.table1 import paper_rows


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
    told = {
        "method": method,
        "seed": seed,
        "accuracy": accuracy,
        "warnings": "",
        "timesteps": timesteps,
        "avg_tokens": tokens,
        "gamma": gamma,
    }
    told |= {"run": f"{method}-s{seed}", "parent": parent, "exit": exit, "energy_nonzero": energy, "as_in_paper": True}
    return (
        told
        | {"dataset": "cifar100", "trained_timesteps": 4, "evaluation_id": f"{method}-s{seed}"}
        | {"evaluation": f"{method}{gamma}"}
    )


@pytest.fixture
def campaign(tmp_path):
    """Three seeds: readings, energies and two figures; the evaluations are what figures' seeds belong to."""
    lines = []
    for seed in (0, 1, 2):
        lines += [reading("static", seed, 70 + seed, energy=8.0), reading("static", seed, 60 + seed, timesteps=2, energy=4.0)]
        lines += [reading("static_control", seed, 71 + seed), reading("dt_snn", seed, 69 + seed, energy=8.0)]
        lines.append(reading("dt_snn", seed, 65 + seed, timesteps=4, exit="dt_snn"))
        lines.append(reading("at_snn", seed, 71 + seed + 0.01 * seed, tokens=0.8, gamma=5, energy=6.0))
        lines.append(reading("at_snn_e", seed, 70.5 + seed, tokens=0.8, gamma=5, timesteps=2.5, exit="at_snn_e"))
        lines[-1]["evaluation_id"] = f"at_snn-s{seed}"  # whose exit it is
    (tmp_path / "tables").mkdir()
    (tmp_path / "figures").mkdir()
    pd.DataFrame(lines).to_csv(tmp_path / "tables/readings.csv", index=False)
    modules = {"static": {"sps": 4.0, "ssa": 3.0, "mlp": 1.0}, "at_snn": {"sps": 3.96, "ssa": 1.0, "mlp": 1.0}}
    layers = [
        {"evaluation_id": f"{name}-s{seed}", "module": module, "pJ_nonzero": pJ}
        for name, of in modules.items() for seed in (0, 1, 2) for module, pJ in of.items()
    ]  # fmt: skip
    pd.DataFrame(layers).to_csv(tmp_path / "tables/energy.csv", index=False)
    seeds = [
        {"evaluation": f"static-s{seed}", "masked": [40, 8], "difference": [2.0 + 0.1 * seed, -1.0 - 0.1 * seed]}
        for seed in (0, 1, 2)
    ]
    draw(tmp_path, "masking", seeds)
    experiment = SimpleNamespace(scale="test", table1=(), figures=dict.fromkeys(("masking", "halting_axes", "blocks_per_token")))
    evaluations = [evaluation("static", "static", {}, seed) for seed in (0, 1, 2)]
    return SimpleNamespace(folder=tmp_path, experiment=experiment, evaluations=evaluations, catalogue=CATALOGUE)


def evaluation(name, method, options, seed, backbone="spikformer"):
    options = CATALOGUE.method_options(method, options).model_dump()
    network = {"backbone": backbone, "timesteps": 4}
    run = SimpleNamespace(data=SimpleNamespace(name="cifar100"), method=method, options=options, seed=seed, network=network)
    return SimpleNamespace(id=f"{name}-s{seed}", name=name, run=run, options=options, timesteps=4, probe=None, settings={})


def draw(folder, figure, seeds):
    (folder / f"figures/{figure}.json").write_text(json.dumps({"missing": None, "seeds": seeds}))


def test_differences_are_taken_seed_by_seed_and_what_is_not_measured_says_so(campaign):
    told = claims(campaign).set_index("claim")
    static = told.loc["more accurate than STATIC"]
    assert static.value == pytest.approx(1.01) and static.spread == pytest.approx(0.01) and static.n == 3
    assert static.verdict == HOLDS and static.stated == 0.72 and static.dataset == "CIFAR-100"
    equal = told.loc["more accurate than STATIC, equal training"]
    assert equal.value == pytest.approx(0.01) and equal.verdict == UNKNOWN, "0, 0.01 and 0.02 points may be chance"
    assert told.loc["better than DT-SNN"].value == pytest.approx(6.01), "with its exit, which needs all 4 timesteps here"
    assert told.loc["less energy than DT-SNN"].value == pytest.approx(0.75), "without"
    assert told.loc["tokens at the low γ"].verdict == DOES_NOT, "0.8 is more than the 0.75 that are printed"
    fewer = told.loc["early exit saves tokens"]
    assert fewer.value == pytest.approx(100 * (1 - 2.5 / 4)) and fewer.verdict == HOLDS
    energy = told.loc["less energy than STATIC"]
    assert (energy.value, energy.verdict) == (pytest.approx(0.75), HOLDS)
    splitting = told.loc["patch splitting costs as much as before"]
    assert splitting.value == pytest.approx(0.99) and splitting.verdict == HOLDS
    assert splitting.note == "nearly by construction: AT-SNN does not touch patch splitting"
    assert told.loc["random masking is better for few tokens"].value == pytest.approx(1.1), "at 8, not at the first of the list"
    assert told.loc["consistent masking is better for many tokens"].verdict == HOLDS
    tet, axes = told.loc["better than TET"], told.loc["2D halting is more accurate"]
    assert (tet.verdict, tet.note, tet.n) == (UNKNOWN, "no tet on cifar100 with the paper's network and options", 0)
    assert (axes.verdict, axes.note) == (UNKNOWN, "figure halting_axes is not drawn")


def test_the_high_gamma_is_another_than_the_low_one(campaign):
    names = [
        "a higher γ saves tokens",
        "a lower γ is more accurate",
        "fewer tokens than the best method",
        "... with fewer tokens",
    ]
    told = claims(campaign).set_index("claim").loc[names]
    assert set(told.note) == {"at_snn was trained with one γ on cifar100, it takes two"}
    path = campaign.folder / "tables/readings.csv"
    more = [reading("at_snn", seed, 70 + seed, tokens=0.6, gamma=10) for seed in (0, 1, 2)]
    pd.concat([pd.read_csv(path), pd.DataFrame(more)]).to_csv(path, index=False)
    told = claims(campaign).set_index("claim").loc[names]
    assert told.value.tolist() == pytest.approx([0.2, 1.01, 40.0, 0.4]) and told.n.tolist() == [3] * 4
    assert told.verdict.tolist() == [HOLDS, HOLDS, DOES_NOT, DOES_NOT]


def test_what_halting_saves_is_asked_at_one_gamma(campaign):
    """Merging alone has 25 only; AT-SNN has 5, which is its low one, and 25."""
    path, name = campaign.folder / "tables/readings.csv", "halting saves tokens beside merging"
    alone = [reading("merge_only", seed, 70 + seed, tokens=0.28, gamma=25) for seed in (0, 1, 2)]
    pd.concat([pd.read_csv(path), pd.DataFrame(alone)]).to_csv(path, index=False)
    assert claims(campaign).set_index("claim").loc[name].note.startswith("no at_snn at γ = 25 on cifar100")
    both = [reading("at_snn", seed, 70 + seed, tokens=0.27 - 0.001 * seed, gamma=25) for seed in (0, 1, 2)]
    pd.concat([pd.read_csv(path), pd.DataFrame(both)]).to_csv(path, index=False)
    assert claims(campaign).set_index("claim").loc[name].value == pytest.approx(0.011)


def test_what_is_said_of_one_data_set_is_asked_of_that_one_only(campaign):
    of_tiny = {"better than DT-SNN's exit", "less accurate than STATIC on TinyImageNet", "less energy than STATIC at T = 3"}
    assert of_tiny.isdisjoint(claims(campaign).claim)
    path = campaign.folder / "tables/readings.csv"
    pd.read_csv(path).assign(dataset="tiny_imagenet").to_csv(path, index=False)
    told = claims(campaign).set_index("claim")
    assert told.loc["better than DT-SNN's exit"].value == pytest.approx(6.01)
    assert told.loc["less accurate than STATIC on TinyImageNet"].verdict == DOES_NOT
    assert of_tiny <= set(told.index) and "fewer tokens than the best method" not in told.index, "the paper says it of CIFAR-100"


def test_figures_decide_by_the_papers_networks_alone(campaign):
    """One that shows another beta, or two networks at once, decides nothing, and the note says why."""
    name, path = "background halts first", "blocks_per_token"
    campaign.evaluations += [evaluation("eager", "at_snn", {"gamma": 5, "beta": -2}, seed) for seed in (0, 1)]
    draw(
        campaign.folder,
        path,
        [{"evaluation": f"eager-s{seed}", "background_halts_earlier_by_blocks": 0.3 + 0.001 * seed} for seed in (0, 1)],
    )
    line = claims(campaign).set_index("claim").loc[name]
    assert (line.verdict, line.n, line.value) == (UNKNOWN, 2, pytest.approx(0.3005)), "measured, and judged by nothing"
    assert line.note == "measured on AT-SNN (γ = 5, β = -2), which the sentence is not about"
    campaign.evaluations += [evaluation("five", "at_snn", {"gamma": 5}, seed) for seed in (0, 1)]
    seeds = [
        {"evaluation": f"{e}-s{seed}", "background_halts_earlier_by_blocks": 0.3 + 0.001 * seed}
        for e in ("eager", "five")
        for seed in (0, 1)
    ]
    draw(campaign.folder, path, seeds)
    line = claims(campaign).set_index("claim").loc[name]
    assert (line.verdict, line.n) == (HOLDS, 2), "the eager one is not looked at"
    campaign.evaluations += [evaluation("nine", "at_snn", {"gamma": 9}, 0)]
    draw(campaign.folder, path, [*seeds, {"evaluation": "nine-s0", "background_halts_earlier_by_blocks": 0.9}])
    line = claims(campaign).set_index("claim").loc[name]
    assert line.note == "figure blocks_per_token shows five, nine on cifar100: it does not say which one is meant"
    campaign.evaluations = [evaluation("five", "at_snn", {"gamma": 5}, seed, "spikingformer") for seed in (0, 1)]
    assert claims(campaign).set_index("claim").loc[name].note == "figure blocks_per_token does not show cifar100"


@pytest.mark.parametrize(
    "halts, value",
    (
        ([[0.1, 0.1], [0.2, 0.4]], 0.2),
        ([[0.4], [0.2], [0.1]], -0.3),
        ([[0.1, 0.2]], None),  # two blocks: tokens can halt early in one only
        ([[0.0], [0.0]], None),
    ),
)
def test_more_tokens_halt_later_is_measured_by_those_that_halt_there(halts, value):
    assert grows(halts) == (value if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    "content, note",
    (
        ('{"missing": ', "are damaged"),
        ("[]", "are damaged"),
        ('{"missing": null, "seeds": [3]}', "lacks what"),
        ('{"missing": null, "seeds": [{"evaluation": "static-s0"}]}', "lacks what"),
        ('{"missing": null, "seeds": [{"evaluation": ["static-s0"]}]}', "lacks what"),
        ('{"missing": null, "seeds": 3}', "lacks what"),
        ('{"missing": "an evaluation"}', "figure masking lacks its data"),
    ),
)
def test_a_figure_without_its_data_decides_nothing(campaign, content, note):
    (campaign.folder / "figures/masking.json").write_text(content)
    assert note in claims(campaign).set_index("claim").loc["random masking is better for few tokens"].note


def test_evaluations_at_other_timesteps_or_of_some_images_decide_nothing(campaign):
    """An exit within other timesteps than those trained with is none of the paper's, and neither is a part of a figure."""
    path = campaign.folder / "tables/readings.csv"
    lines = pd.read_csv(path)
    longer = lines[(lines.method == "at_snn")].assign(timesteps=6)  # the evaluation goes on to T = 6
    pd.concat([lines, longer]).to_csv(path, index=False)
    told = claims(campaign).set_index("claim")
    assert told.loc["early exit saves tokens"].note.startswith("no at_snn_e on cifar100")
    assert told.loc["patch splitting costs as much as before"].note.endswith("other timesteps than it was trained with")
    assert told.loc["more accurate than STATIC"].verdict == HOLDS, "at T = 4 it is what it was"
    for e in campaign.evaluations:
        e.settings["images"] = 60
    few = claims(campaign).set_index("claim").loc["random masking is better for few tokens"]
    assert (few.verdict, few.note) == (UNKNOWN, "measured on the first 60 test images, which the sentence is not about")


def test_what_is_dead_in_a_network_is_said_of_every_claim_that_is_measured_on_it(campaign):
    path = campaign.folder / "tables/readings.csv"
    lines = pd.read_csv(path, keep_default_na=False)
    lines.loc[lines.evaluation_id == "dt_snn-s1", "warnings"] = "blocks.0.mlp.hidden never spikes"
    lines.to_csv(path, index=False)
    told = claims(campaign).set_index("claim").note
    said = "doubtful: seed 1: blocks.0.mlp.hidden never spikes"
    assert said in told["better than DT-SNN"] and said in told["less energy than DT-SNN"]
    assert "doubtful" not in str(told["more accurate than STATIC"])


def test_of_two_trainings_that_fit_the_one_in_table_1_decides_or_none(campaign):
    path = campaign.folder / "tables/readings.csv"
    again = [reading("static", seed, 50, energy=9.0) | {"evaluation": "wider", "run": f"wider-s{seed}"} for seed in (0, 1, 2)]
    pd.concat([pd.read_csv(path), pd.DataFrame(again)]).to_csv(path, index=False)
    before = claims(campaign).set_index("claim").loc["more accurate than STATIC"]
    campaign.experiment.table1 = (SimpleNamespace(evaluation="static"), SimpleNamespace(evaluation="at_snn5"))
    after = claims(campaign).set_index("claim").loc["more accurate than STATIC"]
    assert after.n == 3 and after.value == pytest.approx(1.01)
    assert before.note == "static, wider are all static on cifar100: the sentence does not say which one is meant"


def test_attention_is_measured_on_a_vit_as_the_sentence_says(campaign):
    campaign.evaluations += [evaluation("vit", "static", {}, seed, "vit") for seed in (0, 1)]
    layers = [
        {"evaluation_id": f"vit-s{seed}", "module": module, "pJ_nonzero": pJ}
        for seed in (0, 1) for module, pJ in (("sps", 9.0), ("ssa", 2.0), ("mlp", 2.0 + seed))
    ]  # fmt: skip
    path = campaign.folder / "tables/energy.csv"
    pd.concat([pd.read_csv(path), pd.DataFrame(layers)]).to_csv(path, index=False)
    line = claims(campaign).set_index("claim").loc["attention takes most of a ViT's energy"]
    assert (line.value, line.n) == (pytest.approx((2 / 4 + 2 / 5) / 2), 2)


@pytest.mark.parametrize("name", ("readings", "energy"))
@pytest.mark.parametrize("content", ("", "a,b\n1,2\n", "a,b\n1,2,3\n1,2,3,4\n", "a,b\n"))
def test_a_damaged_table_is_one_line(campaign, name, content):
    (campaign.folder / f"tables/{name}.csv").write_text(content)
    with pytest.raises(UserError, match=rf"tables/{name}.csv is damaged.*: delete it, and it is made again$"):
        claims(campaign)


def test_every_sentence_has_its_measure_one_bound_and_evidence_that_exists():
    figures, sentences = load("paper", CATALOGUE, EXPERIMENTS).figures, read_sentences()
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
    exits = {"cifar10": 1.85, "cifar100": 2.35, "tiny_imagenet": 2.67}
    for name, method, at in (
        ("more accurate than STATIC", "static", dict.fromkeys(low, 4)),
        ("better than DT-SNN", "dt_snn", exits),
    ):
        for dataset, value in stated[name].items():
            gap = accuracy(dataset, "at_snn", low[dataset]) - accuracy(dataset, method, None, at[dataset])
            assert value == pytest.approx(gap, abs=0.006), (name, dataset)
    high = {"cifar10": 32, "cifar100": 10, "tiny_imagenet": 5}
    for dataset in low:
        gap = accuracy(dataset, "at_snn", low[dataset]) - accuracy(dataset, "at_snn", high[dataset])
        assert stated["a lower γ is more accurate"][dataset] == pytest.approx(gap, abs=0.006)
    gap = accuracy("cifar100", "at_snn", 10) - accuracy("cifar100", "static")
    assert stated["... while conserving higher accuracy"] == {"cifar100": pytest.approx(gap, abs=0.006)}
    for dataset, value in stated["early exit costs little"].items():
        gap = accuracy(dataset, "at_snn", low[dataset]) - accuracy(dataset, "at_snn_e", low[dataset])
        assert value == pytest.approx(gap, abs=0.006)
    for dataset, value in stated["better than TET"].items():
        trained = 4 if dataset == "tiny_imagenet" else 2
        assert value == pytest.approx(
            accuracy(dataset, "at_snn", low[dataset]) - accuracy(dataset, "tet", None, trained), abs=0.006
        )
