"""The report, piece by piece, from made-up content."""

import json
from collections import defaultdict
from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.command_line import CATALOGUE
from pipeline.core import number_formats
from pipeline.core.errors import UserError
from pipeline.reporting import html_templates
from pipeline.reporting.drawing import training_curves
from pipeline.reporting.page import faults, report
from pipeline.reporting.tables import table1_formats

HOSTILE = """<script>alert("1")</script>"' onerror='x"""
SVG = b'<?xml version="1.0"?>\n<svg width="360pt" height="216.5pt" viewBox="0 0 360 216"></svg>'


@pytest.fixture
def campaign(tmp_path, monkeypatch):
    """Two figures, one evaluation; figures' modules are made up."""
    monkeypatch.setattr(report, "evaluation_files", lambda _: {"static-s3-0": "evals/static-s3-0.json"})
    run = SimpleNamespace(id="static-s3-0", seed=3)
    experiment = SimpleNamespace(scale="tiny", about="a <test>", figures=dict.fromkeys(("drawn", "other")))
    (tmp_path / "figures").mkdir()
    (tmp_path / "tables").mkdir()
    evaluations = [SimpleNamespace(id="static-s3-1", name="static", run=run)]
    module = SimpleNamespace(TITLE="Halting (Fig. 8)", DEFINITION="How.")
    catalogue = SimpleNamespace(figures=defaultdict(lambda: module))
    return SimpleNamespace(folder=tmp_path, experiment=experiment, evaluations=evaluations, catalogue=catalogue)


def leave(campaign, name, **numbers):
    """A figure's files."""
    told = {"title": "T", "caption": "C", "definition": "D", "made": "M", "missing": None}
    told["evaluations"] = [{"id": "static-s3-1", "name": "static", "run": "static-s3-0"}, {"id": "gone", "name": "x", "run": "x"}]
    (campaign.folder / "figures" / f"{name}.json").write_text(json.dumps(told | numbers))
    (campaign.folder / "figures" / f"{name}.svg").write_bytes(SVG)
    (campaign.folder / "figures" / f"{name}.pdf").write_bytes(b"%PDF")


def page(campaign, **content):
    made = {"versions": {"torch": "2"}, "kernels": "k", "device": "d", "threads": 1, "precision": "fp32", "git": {"commit": None}}
    run = SimpleNamespace(id="static-s3-0", parent=None, data=SimpleNamespace(origin="shapes"))
    ended = {"done": {"epochs": 1, "seconds": 3}, "last": {"images_per_second": 9.0}, "results": None}
    common = {"experiment": campaign.experiment, "verdicts": report.VERDICTS, "runs": [{"run": run, "made": made} | ended]}
    common |= {"curves": report.picture(SVG), "facts": {}, "figures": [], "claims": []}
    return html_templates.environment().get_template("report.html.j2").render(common | content)


@pytest.mark.parametrize(
    "deviations, expected",
    ((0, "within1"), (-1, "within1"), (1.01, "within2"), (-2, "within2"), (2.01, "beyond"), (-9, "beyond"), (None, ""),
     (float("nan"), "")),
)  # fmt: skip
def test_the_gaps_colour_is_its_size_in_standard_deviations(deviations, expected):
    assert table1_formats.gap_class(deviations) == expected


def test_the_gaps_cell_has_its_colour_and_its_number():
    row = dict.fromkeys(("dataset", "method", "architecture"), "x") | {"avg_tokens": 1, "timesteps": 4, "dagger": "", "n": 3}
    row |= {"accuracy_mean": 77.0, "accuracy_std": 1.0, "best_on_test_mean": None, "paper_avg_tokens": 1, "paper_timesteps": 4}
    row |= {"paper_accuracy": 78.5, "paper_architecture": "x", "paper_origin": "own", "paper_source": "y", "gap": -1.5}
    row |= {"gap_in_std": -1.5, "origin": "here", "remarks": "", "scale": "paper", "run_ids": "a-s0-1"}
    table = table1_formats.html(pd.DataFrame([row, row | {"gap_in_std": None}]), {"a-s0-1": "evals/a.json"}, "")
    assert '<td class="number gap within2">-1.50 (-1.5 σ)</td>' in table and '<td class="number gap">-1.50</td>' in table
    assert "<small>paper</small>" in table and 'rowspan="2"' in table


def test_a_figures_place_has_all_that_is_said_of_it(campaign):
    leave(campaign, "drawn", definition="One. Reading: two. Reading: three.")
    facts = report.figure_facts(campaign, "drawn")
    assert (facts["picture"]["width"], facts["picture"]["height"]) == (480, 289)
    shown = page(campaign, figures=[facts])
    assert shown.count("<b>Reading:</b>") == 2 and 'alt="T: C"' in shown and '<p class="made">M</p>' in shown
    assert all(f'href="figures/drawn.{kind}"' in shown for kind in ("svg", "pdf", "json"))
    assert '<a href="#static-s3-0">seed 3</a> (<a href="evals/static-s3-0.json">evaluation</a>)' in shown and "gone" not in shown


def test_a_figure_without_data_says_so_in_its_place(campaign):
    leave(campaign, "drawn", missing="nothing halts: train & evaluate", caption="Not drawn")
    leave(campaign, "damaged")
    (campaign.folder / "figures" / "damaged.json").write_text("{")
    assert "damaged.json can't be read" in report.figure_facts(campaign, "damaged")["missing"]
    figures = [report.figure_facts(campaign, name) for name in ("drawn", "other")]
    shown = page(campaign, figures=figures)
    assert "nothing halts: train &amp; evaluate" in shown and shown.count('class="missing"') == 2
    assert "other.svg" in shown and "not found: run snakemake" in shown and 'id="figure-other"' in shown
    assert 'href="figures/drawn.json"' in shown and 'href="figures/other' not in shown and "0 of 2" in shown


@pytest.mark.parametrize("svg", (b"", b"no picture", b"<svg viewBox='0 0 1 1'></svg>", SVG[:20], b"\xff\x00"))
def test_a_damaged_picture_is_said_in_its_place(campaign, svg):
    leave(campaign, "drawn")
    (campaign.folder / "figures" / "drawn.svg").write_bytes(svg)
    missing = report.figure_facts(campaign, "drawn")["missing"]
    assert missing.endswith("is damaged (the svg is no picture with a size): delete its files, and it is drawn again")


@pytest.mark.parametrize("listed", (3, None, [{}], [3], "static", {"id": "static-s3-1"}))
def test_a_damaged_list_of_evaluations_costs_its_links_only(campaign, listed):
    leave(campaign, "drawn", evaluations=listed)
    facts = report.figure_facts(campaign, "drawn")
    assert facts["groups"] == {} and 'class="missing"' not in page(campaign, figures=[facts])


@pytest.mark.parametrize("key", report.WORDS)
def test_damaged_words_of_a_figure_are_said_in_its_place(campaign, key):
    leave(campaign, "drawn", **{key: ["x"]})
    facts = report.figure_facts(campaign, "drawn")
    assert "its words are no text" in facts["missing"] and 'class="missing"' in page(campaign, figures=[facts])


@pytest.mark.parametrize("content", ("", "a,b\n1,2\n", "\x00"))
def test_damaged_claims_are_one_line(campaign, content):
    (campaign.folder / "tables" / "claims.csv").write_text(content)
    with pytest.raises(UserError, match="claims.csv is damaged.*: delete it, and it is made again$"):
        report.claim_groups(campaign)


def test_hostile_words_stay_words(campaign):
    leave(campaign, "drawn", title=HOSTILE, caption=HOSTILE, definition=HOSTILE, made=HOSTILE)
    figures = [report.figure_facts(campaign, "drawn")]
    campaign.experiment.about = HOSTILE
    line = dict.fromkeys(("claim", "sentence", "source", "rule", "dataset", "verdict", "evidence", "unit"), HOSTILE)
    pd.DataFrame([line | {"value": HOSTILE, "spread": "", "n": 1, "stated": ""}]).to_csv(campaign.folder / "tables/claims.csv")
    claims = report.claim_groups(campaign)
    shown = page(campaign, figures=figures, claims=claims, facts={HOSTILE: HOSTILE}, note=HOSTILE, declaration=HOSTILE)
    assert "<script" not in shown and "&lt;script&gt;" in shown and "' onerror" not in shown and 'href="#claims"' in shown
    assert html_templates.name(HOSTILE + "^e").endswith("<sup>e</sup>") and "<script" not in html_templates.name(HOSTILE)


def test_claims_stand_together_with_what_was_measured_and_where_it_is_shown(campaign):
    (campaign.folder / "tables" / "savings.csv").write_text("x")
    line = {"sentence": "s", "source": "4.2", "rule": "r", "dataset": "CIFAR-10", "n": 3, "unit": "points", "stated": 0.18}
    lines = [
        line | {"claim": "a", "value": -0.12345678, "spread": 0.1, "verdict": "holds", "evidence": "savings.csv"},
        line | {"claim": "b", "value": "", "spread": "", "verdict": "can't tell at this scale", "evidence": "drawn"},
        line | {"claim": "a", "value": 1, "spread": "", "verdict": "doesn't hold", "evidence": "gone.csv"},
    ]
    pd.DataFrame(lines).to_csv(campaign.folder / "tables" / "claims.csv", index=False)
    first, second = report.claim_groups(campaign)
    assert [line["here"] for line in first] == ["−0.123 ± 0.1 points", "1 points"] and second[0]["here"] == ""
    assert [line["link"] for line in (*first, *second)] == ["tables/savings.csv", "", "#figure-drawn"]
    assert second[0]["shown"] == "Fig. 8" and first[0]["paper"] == "0.18 points"
    shown = page(campaign, claims=[first, second], figures=[report.figure_facts(campaign, "drawn")])
    assert all(sign in shown for sign in "✓✗?") and 'rowspan="2"' in shown and "each judged on every data set it is of" in shown
    assert "1 sentences of the paper" not in shown and "1 sentence of the paper that can be checked makes" in shown
    (campaign.folder / "tables" / "claims.csv").unlink()
    assert report.claim_groups(campaign) == [] and 'href="#claims"' not in page(campaign, claims=[])


def test_energy_is_summed_by_module_and_averaged_over_seeds():
    common = {"dataset": "shapes", "architecture": "S-1-2", "title": "STATIC", "evaluation": "static", "timesteps": 2}
    layers = pd.DataFrame(
        common | {"seed": seed, "module": module, "pJ_nonzero": 1e6 * pJ, "pJ_count": 2e6 * pJ, "pJ_mac": 3e6 * pJ}
        for seed, module, pJ in ((0, "ssa", 1), (0, "ssa", 2), (0, "head", 1), (1, "ssa", 5), (1, "head", 1))
    )
    (row,) = report.energy_rows(SimpleNamespace(catalogue=CATALOGUE), layers)
    assert row["modules"] == {"ssa": 4, "head": 1} and row["n"] == 2 and row["share"] == 1
    assert (row["nonzero_mean"], row["count_mean"], row["mac_mean"]) == (5, 10, 15)
    assert row["nonzero_std"] == pytest.approx(2**0.5)


def test_numbers_for_readers():
    assert [number_formats.energy(x) for x in (0, 1e-9, 0.5188, 5.5, 55.55, 1234.4)] == [
        "0.000",
        "< 0.001",
        "0.519",
        "5.50",
        "55.5",
        "1,234",
    ]
    assert number_formats.energy(12.0, 0.123) == "12.0 ± 0.1" and number_formats.energy(12.0, float("nan")) == "12.0"
    assert [number_formats.duration(s) for s in (0.4, 59.6, 60, 200, 18720, 187200)] == [
        "0 s", "1 min", "1 min", "3 min 20 s", "5 h 12 min", "2 d 4 h",
    ]  # fmt: skip
    assert number_formats.number(float("nan")) == "" and number_formats.number(-1.0, "{:+.1f}") == "−1.0"
    assert number_formats.spread({"x_mean": -1.0, "x_std": 0.5}, "x", "{:+.2f}") == "−1.00 ± 0.50"


@pytest.fixture
def trained():
    """Two seeds of STATIC and a retraining of the first, two epochs each."""
    common = {"options": {}, "data": SimpleNamespace(name="shapes"), "architecture": "Spikformer-2-16", "method": "static"}
    runs = [SimpleNamespace(id=f"static-s{seed}", label="static", parent=None, **common) for seed in (0, 1)]
    runs += [SimpleNamespace(**common | {"id": "c-s0", "label": "c", "method": "static_control", "parent": runs[0]})]
    curves = pd.DataFrame(
        {"run": run.id, "epoch": epoch, "train_loss": 1 / epoch, "heldout_accuracy": 9.0, "average_tokens": 1.0}
        for run in runs
        for epoch in (1, 2)
    )
    return SimpleNamespace(runs=runs, catalogue=CATALOGUE), curves


def test_training_curves_are_the_same_bytes_every_time(trained):
    first, again = (training_curves.draw(*trained) for _ in range(2))
    assert first == again and b"<dc:date>" not in first and report.picture(first)["width"] > 800


def test_a_retraining_is_drawn_after_its_parent(trained):
    campaign, curves = trained
    assert [training_curves.begin(run, curves) for run in campaign.runs] == [0, 0, 2]


def lines(*entries):
    return "\n".join(map(json.dumps, entries)) + "\n"


FAULT = {"event": "fault", "struck": ["train"], "how": "SIGKILL", "damaged": ""}


def test_the_table_of_faults_is_what_their_log_says(campaign, tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "FAULTS", tmp_path / "faults.jsonl")
    assert faults.tried() == [] and "Faults tried" not in page(campaign, faults=[])
    (tmp_path / "faults.jsonl").write_text(
        lines(
            FAULT,
            FAULT | {"damaged": "checkpoint.pt cut at byte 7"},
            FAULT | {"struck": ["snakemake", "train", "train"]},
            {"event": "compared", "differ": [], "logged_twice": ""},
            {"event": "scenario", "fault": "two graphs", "said": HOSTILE, "differ": ["tables/table1.csv"]},
            {"event": "not tried", "fault": "full disk", "why": "no mount"},
            {"event": "planned", "faults": ["a clock", "two graphs"]},
        )
    )
    rows = faults.tried()
    assert [(row["fault"], row["times"], row["outcome"]) for row in rows] == [
        ("SIGKILL: snakemake and train", 1, "the same numbers"),
        ("SIGKILL: train", 2, "the same numbers"),
        ("with a kill: checkpoint.pt cut", 1, "the same numbers"),
        ("a clock", 0, "not reached"),
        ("full disk", 0, "not tried: no mount"),
        ("two graphs", 1, "differs: tables/table1.csv"),
    ]
    shown = page(campaign, faults=rows)
    assert "Faults tried, and what came of them" in shown and "<script>" not in shown


@pytest.mark.parametrize(
    "ends, said",
    (
        ([], "not compared"),
        ([{"event": "compared", "differ": ["a"], "logged_twice": ""}], "differs: a"),
        ([{"event": "compared", "differ": [], "logged_twice": "loss"}], "differs: loss"),
    ),
)
def test_kills_that_changed_something_or_were_not_compared_did_not_survive(tmp_path, monkeypatch, ends, said):
    monkeypatch.setattr(faults, "FAULTS", tmp_path / "faults.jsonl")
    (tmp_path / "faults.jsonl").write_text(lines(FAULT, *ends))
    assert faults.tried()[0]["outcome"].startswith(said)


@pytest.mark.parametrize("text", ("{", "3\n", '{"event": "fault"}\n', '{"event": "compared"}\n'))
def test_a_damaged_log_of_faults_is_one_line(tmp_path, monkeypatch, text):
    monkeypatch.setattr(faults, "FAULTS", tmp_path / "faults.jsonl")
    (tmp_path / "faults.jsonl").write_text(text)
    with pytest.raises(UserError, match="faults.jsonl is damaged .* delete it"):
        faults.tried()
