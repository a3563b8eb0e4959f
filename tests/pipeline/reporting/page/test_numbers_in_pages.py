"""Every number in RESULTS.md and in README's words on results is the one that its link leads to."""

import json
import re

import pandas as pd
import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT
from pipeline.reporting.page import numbers_in_pages, speed_table


@pytest.mark.parametrize("name", numbers_in_pages.PAGES)
def test_a_page_says_what_the_files_say_that_it_links_to(name):
    text = (ROOT / name).read_text()
    assert text == numbers_in_pages.filled(text), "make pages writes the numbers in"
    assert len(numbers_in_pages.LINK.findall(text)) > 5


def test_results_link_every_number_of_a_sentence():
    """What is left of the text without links, code, tables and headings holds no measured number: no decimal point, no percent."""
    text = re.sub(r"```.*?```", "", (ROOT / "RESULTS.md").read_text(), flags=re.S)
    text = re.sub(r"`[^`]*`|^[#|].*$", "", numbers_in_pages.LINK.sub("", text), flags=re.M)
    assert "Does halting" not in text and "The short answer" in text, "headings are gone, sentences are not"
    assert not re.findall(r"\d+\.\d+ ?(?:%|points|µJ)|\d+ ?%", text)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(numbers_in_pages, "ROOT", tmp_path)
    (tmp_path / "results").mkdir()
    lines = [
        {"run": "a", "t": 4, "mean": 16.756, "std": 0.449, "share": 0.8047, "verdict": "holds"},
        {"run": "b, c", "t": 4, "mean": -1.5},
    ]
    pd.DataFrame(lines).to_csv(tmp_path / "results/x.csv", index=False)
    (tmp_path / "results/y.json").write_text(
        '{"networks": [{"of": "a", "t": 4, "share": 0.8, "halted": [0.0131]}, {"of": "a", "t": 2, "halted": [1]}], "seconds": 12345.6}'
    )


@pytest.mark.parametrize(
    "before, after",
    [
        ('[0.0 ± 0.0](results/x.csv "mean ± std where run=a, t=4")', "16.8 ± 0.4"),
        ('[0 %](results/x.csv "100 × share where run=a")', "80 %"),
        ('[+9.00 points](results/x.csv "mean where run=b, c, t=4")', "−1.50 points"),
        ('[+9.0](results/x.csv "mean where run=a")', "+16.8"),
        ('[fails](results/x.csv "verdict where run=a")', "holds"),
        ('[9.9 %](results/y.json "100 × networks.0.halted.0")', "1.3 %"),
        ('[0 ± 0](results/y.json "networks.of=a, t=4.t ± share")', "4 ± 1"),
        ('[9.9 %](results/y.json "100 × networks.of=a, t=4.halted.0")', "1.3 %"),
        ('[0 s](results/y.json "seconds")', "12,346 s"),
    ],
)
def test_a_number_keeps_the_form_that_it_is_written_in(files, before, after):
    found = numbers_in_pages.filled(f"It is {before}.")
    assert found == f"It is [{after}]{before[before.index('(') :]}." and numbers_in_pages.filled(found) == found


@pytest.mark.parametrize("link", [
    'x.csv "mean where t=4"', 'x.csv "mean where run=c"', 'x.csv "median where run=a"', 'x.csv "std where run=b, c"',
    'y.json "networks.of=a.halted.0"', 'y.json "networks.of=b.halted.0"', 'y.json "networks.2.halted.0"', 'y.json "networks.0.of.1"',
])  # fmt: skip
def test_a_title_that_names_no_single_number_is_one_line(files, link):
    with pytest.raises(UserError, match="mend the link's title"):
        numbers_in_pages.filled(f"[1](results/{link})")


def test_a_text_with_fewer_numbers_than_its_title_names_is_one_line(files):
    with pytest.raises(UserError, match="write one for each"):
        numbers_in_pages.filled('[16.8](results/x.csv "mean ± std where run=a")')


def test_speed_has_rows_for_each_kind_and_every_number_is_a_link(tmp_path, monkeypatch):
    for module in (numbers_in_pages, speed_table):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    for kind, speed in (("b", 3.0), ("a", 2.0)):
        (tmp_path / "results/x/bench" / kind).mkdir(parents=True)
        ratios = {"speed": {"train": {"SpikingJelly": 1.0, "STATIC": speed, "STATIC, dense products": 1.5}, "infer": {}}}
        ratios |= {"memory": {"train": {"STATIC": 0.5}}, "share_of_limit": {"train": {"STATIC": 0.456}}}
        (tmp_path / "results/x/bench" / kind / "ratios.json").write_text(json.dumps(ratios))
    short = numbers_in_pages.filled("<!-- table: results/x/bench -->\n| old |\n").splitlines()
    link = '[46 %](results/x/bench/a/ratios.json "100 × share_of_limit.train.STATIC")'
    assert len(short) == 3 + 4 and short[3].startswith("| [a](results/x/bench/a/index.html) | SpikingJelly's own")
    assert short[4].startswith("|  | ours, STATIC | [2.00]") and link in short[4] and "[b](" in short[5]
    whole = numbers_in_pages.filled("<!-- table: ../results/x/bench/*/ratios.json -->\n")
    assert whole.count("\n") == 3 + 6 and '[1.50](../results/x/bench/b/ratios.json "speed.train.STATIC, dense products")' in whole
    assert numbers_in_pages.filled(whole) == whole
