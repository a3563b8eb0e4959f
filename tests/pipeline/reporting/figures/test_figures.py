"""Every figure, drawn by its stage from a campaign in which tokens merge and halt, and its numbers worked out again."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.campaign.declaration import Figure
from pipeline.command_line import CATALOGUE
from pipeline.data.prepared import Prepared
from pipeline.evaluation.arrays import read_arrays
from pipeline.reporting.claims.judge import claims
from pipeline.reporting.drawing import campaign_results, canvas, draw_figure
from pipeline.reporting.drawing.canvas import pyplot
from pipeline.reporting.figures import blocks_per_token, merged_and_halted

NAMES = [
    "accuracy_over_timesteps", "accuracy_over_tokens", "accuracy_by_block_and_timestep", "block_similarity", "worked_example",
    "blocks_per_token", "merged_and_halted_maps", "merged_and_halted", "easy_and_hard", "energy_by_module", "energy_conventions",
    "halting_axes", "two_neurons", "masking", "parts_apart", "halting_readings", "gamma_epsilon",
    "halting_onset", "tokens_over_training", "seconds_over_firing_rate",
]  # fmt: skip


def arrays(campaign, evaluation):
    return read_arrays(
        campaign.arrays_file(evaluation.run), evaluation.name, "halt_block", "merge_block", "logits", "labels", "image_tokens"
    )


def test_this_campaign_declares_every_figure_that_there_is(campaign):
    import pkgutil

    import pipeline.reporting.figures

    assert (
        set(NAMES)
        == {module.name for module in pkgutil.iter_modules(pipeline.reporting.figures.__path__)}
        == set(campaign.experiment.figures)
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_drawn_with_the_same_bytes_every_time(campaign, name):
    drawn, before = [], pyplot().get_fignums()
    for _ in range(2):
        numbers = draw_figure.draw(campaign, name)
        assert numbers["missing"] is None and len(numbers["caption"]) > 20 and numbers["scale"] == "halting"
        stem = campaign.folder / "figures" / name
        drawn.append([stem.with_suffix(f".{kind}").read_bytes() for kind in ("svg", "pdf", "json")])
    assert drawn[0] == drawn[1] and drawn[0][0].startswith(b"<?xml") and drawn[0][1].startswith(b"%PDF")
    assert b"<dc:date>" not in drawn[0][0] and b"CreationDate" not in drawn[0][1]
    json.loads(drawn[0][2], parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert pyplot().get_fignums() == before, "every picture is closed"


def test_merged_and_halted_tokens_are_those_of_the_trace_counted_one_by_one(campaign):
    told = draw_figure.draw(campaign, "merged_and_halted")
    for seed, evaluation in zip(told["seeds"], campaign.named("at_snn"), strict=True):
        kept, count = arrays(campaign, evaluation), Counter()
        for l in (1, 2, 3):
            for t in range(3):
                for n in range(30):
                    for k in range(64):
                        merge, halt = int(kept["merge_block"][n, k]), int(kept["halt_block"][t, n, k])
                        gone = "merged" if 0 < merge <= l else "halted" if 0 < halt < l else "computed"
                        count[gone, l, t] += 1 / (30 * 64)
        assert seed["merged"] == pytest.approx([5 / 64, 10 / 64, 15 / 64]), "gamma 5"
        for l in (1, 2, 3):
            assert seed["halted"][l - 1] == pytest.approx([count["halted", l, t] for t in range(3)])
            assert seed["computed"][l - 1] == pytest.approx([count["computed", l, t] for t in range(3)])
        assert 0 < seed["halted"][1][0] < seed["halted"][2][2] < 0.8, "otherwise nothing is shown"


def test_tokens_over_training_are_the_records(campaign):
    told = draw_figure.draw(campaign, "tokens_over_training")
    for name, row in zip(("at_snn", "at_snn_1d"), told["networks"], strict=True):
        for epoch, evaluation in enumerate(("at_snn_never", name)):
            found = [
                campaign_results.metrics_of(campaign, e, "tokens_by_block")["tokens_by_block"] for e in campaign.named(evaluation)
            ]
            assert row["tokens_by_block"]["mean"][epoch] == pytest.approx(np.mean(found, axis=0))
        assert row["spiking_by_block"]["mean"] == [[0.5, 1, 1], [0, 1, 1]]
        assert row["strong_by_block"]["mean"] == [[0.25, 0, 1], [0, 0, 1]]
    halted = np.array(told["networks"][0]["halted_by_block"]["mean"])
    assert not halted[0].any() and halted[1].any() and "0.00 % halted before the retraining" in told["caption"]


def test_easy_and_hard_are_the_tenths_of_the_images_that_are_classified_right(campaign):
    told = draw_figure.draw(campaign, "easy_and_hard")
    for seed, evaluation in zip(told["seeds"], campaign.named("at_snn"), strict=True):
        kept = arrays(campaign, evaluation)
        right = kept["logits"].mean(axis=0).argmax(-1) == kept["labels"]
        used = sorted(kept["image_tokens"].mean(axis=0)[right])
        tenth = max(1, round(len(used) / 10))
        assert tenth > 1 and used[0] < used[-1], "otherwise nothing is shown"
        assert seed["easy_share"] == pytest.approx(np.mean(used[:tenth])), (len(used), tenth)
        assert seed["hard_share"] == pytest.approx(np.mean(used[-tenth:])) and seed["mean_share"] == pytest.approx(np.mean(used))


def test_two_minus_one_dimension_is_taken_seed_by_seed(campaign):
    told = draw_figure.draw(campaign, "halting_axes")
    readings = pd.read_csv(campaign.folder / "tables/readings.csv", keep_default_na=False).set_index(
        ["evaluation", "seed", "timesteps"]
    )
    for seed, found in enumerate(told["seeds"]):
        two, one = (readings.loc[(name, seed, 3)] for name in ("at_snn", "at_snn_1d"))
        assert found["2d_minus_1d_tokens"] == pytest.approx(two.avg_tokens - one.avg_tokens) and two.avg_tokens < one.avg_tokens
        assert found["2d_minus_1d_accuracy"] == pytest.approx(two.accuracy - one.accuracy) and two.accuracy != one.accuracy
    assert len(told["seeds"]) == 2


def test_the_energy_that_is_drawn_is_the_tables(campaign):
    bars = {bar["title"]: bar for bar in draw_figure.draw(campaign, "energy_by_module")["bars"]}
    layers = pd.read_csv(campaign.folder / "tables/energy.csv")
    of = layers[layers.evaluation == "at_snn"].groupby("module").pJ_nonzero.sum() / 2 / 1e6
    assert bars["AT-SNN (γ = 5)"]["uJ"] == pytest.approx(of.to_dict(), rel=1e-6) and of["matching"] > 0
    assert bars["STATIC"]["uJ"]["matching"] == 0 and bars["STATIC"]["total"] > bars["AT-SNN (γ = 5)"]["total"] - of["matching"]
    readings = pd.read_csv(campaign.folder / "tables/readings.csv", keep_default_na=False)
    whole = readings[(readings.evaluation == "at_snn") & (readings.timesteps == 3)].energy_nonzero.mean()
    assert bars["AT-SNN (γ = 5)"]["total"] == pytest.approx(whole)
    kinds = {line["title"]: line["uJ"] for line in draw_figure.draw(campaign, "energy_conventions")["lines"]}
    assert kinds["AT-SNN (γ = 5)"]["nonzero"] == pytest.approx(whole) and whole < kinds["AT-SNN (γ = 5)"]["count"]


def test_how_much_earlier_background_halts_is_counted_over_tokens_that_no_merge_took(campaign):
    told = draw_figure.draw(campaign, "blocks_per_token")
    kept = arrays(campaign, campaign.named("at_snn")[0])
    is_object, is_background = blocks_per_token.classify(Prepared(campaign.data("shapes").folder).split("test").masks)
    sums = {"object": [], "background": []}
    for n, k in np.argwhere(kept["merge_block"] == 0):
        for name, kind in (("object", is_object), ("background", is_background)):
            sums[name] += kept["halt_block"][:, n, k].tolist() if kind[n, k] else []
    expected = np.mean(sums["object"]) - np.mean(sums["background"])
    assert told["seeds"][0]["background_halts_earlier_by_blocks"] == pytest.approx(expected)


def show(campaign, monkeypatch, name, *evaluations):
    monkeypatch.setitem(campaign.experiment.figures, name, Figure(evaluations=evaluations))
    return draw_figure.draw(campaign, name)


@pytest.mark.parametrize(
    "name, words",
    (
        ("merged_and_halted", "othing halts"),
        ("merged_and_halted_maps", "othing halts"),
        ("blocks_per_token", "none halts before the last block"),
        ("easy_and_hard", "none is easy or hard"),
    ),
)
def test_where_nothing_halts_the_caption_says_so(campaign, monkeypatch, name, words):
    told = show(campaign, monkeypatch, name, "at_snn_never")
    assert told["missing"] is None and words in told["caption"]


def test_a_figure_without_its_data_says_so_in_all_its_files_and_raises_nothing(campaign, monkeypatch):
    told = show(campaign, monkeypatch, "merged_and_halted", "static")
    assert "has no halt_block, merge_block" in told["missing"] and told["missing"] in told["caption"]
    assert json.loads((campaign.folder / "figures/merged_and_halted.json").read_text())["missing"] == told["missing"]
    assert (campaign.folder / "figures/merged_and_halted.pdf").exists()
    told = show(campaign, monkeypatch, "halting_axes", "at_snn")
    assert "name an evaluation of each" in told["missing"]
    monkeypatch.setattr(campaign_results, "fates", lambda *_: 1 / 0)
    assert show(campaign, monkeypatch, "merged_and_halted", "at_snn")["missing"] == "ZeroDivisionError: division by zero"


def test_a_file_that_is_gone_is_named(campaign, monkeypatch):
    path = campaign.arrays_file(campaign.named("halt_only")[0].run)
    kept = path.read_bytes()
    path.unlink()
    told = show(campaign, monkeypatch, "merged_and_halted", "halt_only")
    path.write_bytes(kept)
    assert told["missing"] == f"{path} is missing: run snakemake, which makes it, or evaluate first"


def test_the_caption_says_what_was_trained_and_what_only_evaluated(campaign):
    made = draw_figure.draw(campaign, "halting_readings")["made"]
    assert made == (
        "shapes, Spikformer-3-16. Trained as shown: STATIC, retrained; AT-SNN (γ = 5). Same weights, only evaluated otherwise: "
        "AT-SNN (γ = 5) with reading = printed; AT-SNN (γ = 5) with reading = example."
    )
    assert draw_figure.draw(campaign, "two_neurons")["made"].startswith("Computed from the formulas alone")
    made = draw_figure.draw(campaign, "masking")["made"]
    assert made.endswith("Measured on trained weights, nothing retrained: STATIC, first 10 test images.")


def test_what_is_dead_in_a_network_stands_below_every_figure_that_shows_it(campaign, monkeypatch):
    entries = draw_figure.recorded.evaluation_entries

    def one_is_doubtful(campaign, evaluation):
        told = entries(campaign, evaluation)
        if (evaluation.name, evaluation.run.seed) == ("tet", 1):
            told[-1]["warnings"] = ["blocks.1.mlp.hidden never spikes"]
        return told

    monkeypatch.setattr(draw_figure.recorded, "evaluation_entries", one_is_doubtful)
    said = " Doubtful: tet, seed 1: blocks.1.mlp.hidden never spikes."
    assert draw_figure.draw(campaign, "energy_by_module")["made"].endswith(said)
    assert "Doubtful" not in draw_figure.draw(campaign, "masking")["made"]


def test_the_caption_says_at_which_timesteps_weights_were_not_trained(campaign):
    lines = draw_figure.draw(campaign, "accuracy_over_timesteps")["made"]
    assert "Trained as shown: STATIC; TET; DT-SNN; AT-SNN (γ = 5)." in lines
    assert (
        "evaluated otherwise: STATIC at T = 1, 2; TET at T = 1, 3; DT-SNN at T = 1, 2; DT-SNN with the exit of DT-SNN; " in lines
    )
    assert lines.endswith("AT-SNN (γ = 5) at T = 1, 2; AT-SNN (γ = 5) with the exit of AT-SNN^e.")
    told = draw_figure.draw(campaign, "energy_by_module")
    assert "STATIC; TET; DT-SNN" in told["made"] and told["made"].endswith("otherwise: TET at T = 3.")
    assert [bar["title"] for bar in told["bars"]] == ["STATIC", "TET (T = 2)", "TET (T = 3)", "DT-SNN", "AT-SNN (γ = 5)"]


def test_the_caption_says_what_a_probe_changes(campaign):
    (plain,) = {e.name: e for e in campaign.named("masked")}.values()
    trained = plain.run
    assert draw_figure.origin(CATALOGUE, plain, [3]) == [(draw_figure.PROBED, "STATIC, first 10 test images")]
    shorter = replace(plain, timesteps=2, settings={})
    assert draw_figure.origin(CATALOGUE, shorter, [2]) == [(draw_figure.PROBED, "STATIC at T = 2 (trained at 3)")]
    (mapped,) = {e.name: e for e in campaign.named("map")}.values()
    changed = replace(mapped, options=mapped.options | {"beta": -6.0}, settings={})
    assert draw_figure.origin(CATALOGUE, changed, [3]) == [(draw_figure.PROBED, "AT-SNN (γ = 5) with β = -6")]
    other = replace(changed, probe=None)
    assert draw_figure.origin(CATALOGUE, other, [1, 2, 3]) == [
        (draw_figure.NOT_RETRAINED, "AT-SNN (γ = 5) with β = -6 at T = 1, 2, 3")
    ]
    assert (
        draw_figure.origin(CATALOGUE, other, [3]) == [(draw_figure.NOT_RETRAINED, "AT-SNN (γ = 5) with β = -6")]
        and trained.method == "static"
    )


def test_what_json_can_not_hold_is_a_fault_of_the_figure_alone(campaign, monkeypatch):
    monkeypatch.setattr("pipeline.reporting.figures.two_neurons.peak_bounds", lambda cases: np.arange(2))
    assert draw_figure.draw(campaign, "two_neurons")["missing"].startswith("TypeError")


@pytest.mark.parametrize("name", ("halting_axes", "halting_readings", "parts_apart", "energy_conventions"))
def test_an_evaluation_at_other_timesteps_is_shown_at_them(campaign, monkeypatch, name):
    named = [*campaign.experiment.figures[name].evaluations, "at_snn_short"]
    told = show(campaign, monkeypatch, name, *named)
    assert told["missing"] is None and "AT-SNN (γ = 5) at T = 2 (trained at 3)" in told["made"]
    drawn = [one for one in told.get("points", told.get("lines")) if one["evaluation"] == "at_snn_short"]
    assert len(drawn) == 1 and drawn[0].get("title", "AT-SNN (γ = 5) (T = 2)") == "AT-SNN (γ = 5) (T = 2)"


def test_the_words_about_halting_do_not_appear_where_tokens_halt(campaign):
    assert "othing halts" not in draw_figure.draw(campaign, "merged_and_halted")["caption"]
    assert merged_and_halted.MOST_EVALUATIONS == 1


def test_the_papers_claims_find_their_numbers_in_the_figures(campaign, monkeypatch):
    """All but those that need a ViT or a number of the paper's, which this campaign lacks. The pictures are in no file."""
    monkeypatch.setattr(canvas, "save", lambda figure, stem: pyplot().close(figure))
    for name in NAMES:
        draw_figure.draw(campaign, name)
    told = claims(campaign).set_index("claim")
    assert set(told[told.n == 0].note) == {"figure block_similarity does not show shapes", "no ViT on shapes"}
    assert set(told[told.n > 0].n) == {2} and len(told) == 29, "all that are said of any data set"
    axes = json.loads((campaign.folder / "figures/halting_axes.json").read_text())["seeds"]
    expected = -np.mean([seed["2d_minus_1d_tokens"] for seed in axes])
    assert told.loc["2D halting removes more tokens"].value == pytest.approx(expected, abs=1e-4) and expected > 0


@pytest.mark.parametrize("name", ("blocks_per_token", "merged_and_halted_maps", "easy_and_hard"))
def test_images_that_are_not_to_be_shown_are_in_no_figure(campaign, monkeypatch, name):
    shows = draw_figure.draw(campaign, name)
    with_images = (campaign.folder / "figures" / f"{name}.svg").read_bytes()
    monkeypatch.setattr(campaign, "experiment", campaign.experiment.model_copy(update={"show_images": False}))
    (evaluation, *_) = campaign.named("at_snn")
    split = campaign_results.test_images(campaign, evaluation)
    assert (split.images == campaign_results.HIDDEN).all() and len(split) == 30 and split.labels.any()
    hides = draw_figure.draw(campaign, name)
    assert (
        hides["caption"] == shows["caption"] + campaign_results.about_images(campaign) and "Grey stands for" in hides["caption"]
    )
    assert (campaign.folder / "figures" / f"{name}.svg").read_bytes() != with_images
