"""The report, piece by piece, from made-up content."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest
from small_page import HOSTILE, SVG, page

from pipeline.command_line import CATALOGUE
from pipeline.core.errors import UserError
from pipeline.reporting import html_templates
from pipeline.reporting.page import report


def leave(campaign, name, **numbers):
    """A figure's files."""
    told = {"title": "T", "caption": "C", "definition": "D", "made": "M", "missing": None}
    told["evaluations"] = [{"id": "static-s3-1", "name": "static", "run": "static-s3-0"}, {"id": "gone", "name": "x", "run": "x"}]
    (campaign.folder / "figures" / f"{name}.json").write_text(json.dumps(told | numbers))
    (campaign.folder / "figures" / f"{name}.svg").write_bytes(SVG)
    (campaign.folder / "figures" / f"{name}.pdf").write_bytes(b"%PDF")


def test_a_figures_place_has_all_that_is_said_of_it(campaign):
    leave(campaign, "drawn", definition="One. Reading: two. Reading: three.")
    facts = report.figure_facts(campaign, "drawn")
    assert (facts["picture"]["width"], facts["picture"]["height"]) == (480, 289)
    shown = page(campaign, figures=[facts])
    assert shown.count("<b>Reading:</b>") == 2 and 'alt="T: C"' in shown and '<p class="made">M</p>' in shown
    assert all(f'href="figures/drawn.{kind}"' in shown for kind in ("svg", "pdf", "json"))
    assert '<a href="#static-s3-0">seed 3</a> (<a href="evals/static-s3-0.json">evaluation</a>)' in shown and "gone" not in shown


def test_the_page_names_the_kernels_of_all_attempts(campaign):
    """A training may go on with another instruction set."""
    wide, narrow = "compiled kernels: AVX-512, c++", "compiled kernels: AVX2, c++"
    start = {"git": {}, "versions": {}, "data": {}, "device": "d", "precision": "fp32", "threads": 1, "kernels": wide}
    entries = [{"provenance": start}, {"provenance": None}, {"provenance": start | {"kernels": narrow}}, {"provenance": start}]
    made = report.provenance_of([*entries, {"event": "end"}])
    assert made == start | {"kernels": f"{wide}, then {narrow}"} and report.provenance_of(entries[:1]) == start
    run = {"run": SimpleNamespace(id="static-s3-0", parent=None, data=SimpleNamespace(origin="shapes")), "results": None}
    run |= {"done": {"epochs": 1, "seconds": 3}, "last": {"images_per_second": 9.0}}
    runs = [run | {"made": made | {"kernels": kernels}} for kernels in (wide, narrow, wide)]
    assert f"<p>Computed by {wide}; {narrow}.</p>" in page(campaign, runs=runs).replace("&#43;", "+")


def test_why_a_commit_is_unknown_is_said_once_below_the_runs(campaign):
    assert "<code>unknown</code>" in page(campaign) and "Commit unknown" not in page(campaign), (
        "of records from before there were reasons"
    )
    known = page(campaign, git={"commit": "0123456789abcdef", "modified": True})
    assert "<code>01234567*</code>" in known and "Commit unknown" not in known
    shown = page(campaign, git={"commit": None, "modified": None, "why": "git is <not> installed"})
    assert "<code>unknown</code>" in shown and shown.count("Commit unknown: git is &lt;not&gt; installed.") == 1


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
