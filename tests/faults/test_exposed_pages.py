"""A text on a page is a text, whatever stands in it; and what is downloaded is what was meant."""

import html.parser
import importlib
import pkgutil
import re
import xml.etree.ElementTree
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup
from small_sets import many

from pipeline.data import cifar, datasets
from pipeline.data.datasets import tiny_imagenet
from pipeline.reporting import html_templates
from pipeline.reporting.drawing import canvas
from pipeline.reporting.page import report
from pipeline.reporting.tables import table1_formats
from pipeline.reporting.tables.savings import COLUMNS as SAVED
from pipeline.reporting.tables.table1 import COLUMNS

REPORT = html_templates.environment().get_template("report.html.j2")
PACKAGE = Path(report.__file__).parents[2]
HOSTILE = """<script>alert(1)</script>" onload="alert(1)' onerror='x><img src=x>&lt;{{ 7 * 7 }}</td></table></style>"""
SVG = b'<?xml version="1.0"?><svg width="360pt" height="216.5pt"><script>alert(1)</script></svg>'
texts = st.text(st.sampled_from("<>\"'&=/ {}%-!`$\\_abc\n"), min_size=1, max_size=20) | st.just(HOSTILE)
numbers = ("_mean", "_std", "tokens", "timesteps", "accuracy", "gap", "gap_in_std", "minus_static")


class Skeleton(html.parser.HTMLParser):
    """The tags of a page and the names of their attributes, and all of its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, *(name for name, _ in attributes)))
        self.texts += [value or "" for _, value in attributes]

    def handle_endtag(self, tag):
        self.tags.append(tag)

    def handle_data(self, text):
        self.texts.append(text)


def filled(columns, text):
    return {column: 1.0 if column == "n" or column.endswith(numbers) else text for column in columns}


def table1(text):
    row = filled(COLUMNS, text) | {"run_ids": "x-s0-" + "".join(text.split())}
    return table1_formats.html(pd.DataFrame([row]), {row["run_ids"]: text}, text)


def page(text):
    """The report, of one of everything, with this text wherever there is one."""
    run = SimpleNamespace(id=text, parent=SimpleNamespace(id=text), seed=text, data=SimpleNamespace(origin=text))
    made = {"versions": {text: text}, "git": {"commit": text, "modified": True, "why": text}, "threads": 2}
    made |= dict.fromkeys(("kernels", "device", "precision"), text)
    shown = {"seed": text, "file": text, "dataset_title": text, "architecture": text, "title": text, "evaluation": text}
    exit = {"threshold": 0.5, "timesteps": 1.0, "accuracy": 1.0, "heldout_timesteps": 1.0, "heldout_accuracy": 1.0}
    measured = shown | {"exits": {text: text}, "metrics": {"accuracy": 1.0, "exit": {text: exit}}}
    claim = dict.fromkeys(
        ("claim", "sentence", "source", "quantity", "rule", "verdict", "note", "dataset", "here", "paper"), text
    )
    figure = dict.fromkeys(("name", "title", "caption", "definition", "made"), text) | {"picture": report.picture(SVG)}
    figure |= {"groups": {text: [{"run": run, "file": text}]}, "files": [(text, text)]}
    joules = {"timesteps": 1, "modules": {text: 1.0}, "share": 1.0, "nonzero_mean": 1.0, "nonzero_std": 1.0, "dataset": text}
    cut = shown | {"seeds": [shown], "shares": dict.fromkeys(report.SHARES.values(), [0.5]), "retrained_options": False}
    ended = {"done": {"epochs": text, "seconds": 3}, "last": {"images_per_second": 9.0}, "results": text}
    content = dict.fromkeys(("note", "declaration"), text) | {"gaps": True, "paper_savings": True, "speed": {text: text}}
    content |= {"experiment": SimpleNamespace(scale=text, about=text), "facts": {text: text}, "modules": [text]}
    content |= {
        "table1": Markup("<table></table>"),
        "savings": [filled(SAVED, text)] * 2,
        "verdicts": report.VERDICTS,
    }
    content |= {"claims": [[claim | {"n": text, "link": text, "shown": text}]], "curves": report.picture(SVG)}
    content |= {"figures": [figure, figure | {"missing": text}], "evaluations": [measured], "blocks": [cut]}
    content |= {"energy": [shown | joules | {"count_mean": 1.0, "mac_mean": 1.0, "n": 1}] * 2}
    content |= {"runs": [{"run": run, "made": made} | ended]}
    content["faults"] = [dict.fromkeys(("fault", "times", "outcome", "said"), text) | {"same": same} for same in (True, False)]
    return REPORT.render(content)


@cache
def harmless(made):
    return Skeleton(made("x"))


@many
@given(text=texts)
@example(text=HOSTILE)
@pytest.mark.parametrize("made", (table1, page))
def test_no_text_becomes_a_tag_or_an_attribute(made, text):
    shown = Skeleton(made(f"x{text}x"))
    assert shown.tags == harmless(made).tags
    assert any(f"x{text}x" in found for found in shown.texts), "and it is shown as it is"


def test_scripts_are_no_part_of_the_page_even_within_a_picture():
    shown = page("x")
    assert "<script" not in shown and "<svg" not in shown and 'src="data:image/svg+xml;base64,' in shown


def test_every_template_escapes_and_quotes():
    """Whoever adds one: autoescape is on, nothing is taken out of it, and no attribute lacks its quotes."""
    environment = html_templates.environment()
    templates = [name for name in environment.list_templates() if name != "report.css"]
    assert {"report.html.j2", "table1.html.j2", "bench.html.j2"} <= set(templates)
    for name in templates:
        text = (html_templates.TEMPLATES / name).read_text()
        assert environment.autoescape(name) and not re.search(
            r"\|\s*safe\b|autoescape|<[a-z]+[^<>]*\s[\w-]+=\{[{%]|\bon\w+=|<script", text
        ), name
    assert "{" + "{" not in (html_templates.TEMPLATES / "report.css").read_text()
    unescaped = {path.name: path.read_text().count("Markup(") for path in PACKAGE.rglob("*.py") if "Markup(" in path.read_text()}
    assert unescaped == {"html_templates.py": 1, "report.py": 1}, "the raised e, and the table that is a page of its own"


@many
@given(text=texts)
@example(text="$\\frac$ $x_$")
def test_a_text_in_a_picture_is_a_text(tmp_path, text):
    drawn, axes = canvas.panels()
    canvas.notice(axes[0, 0], text)
    canvas.save(drawn, tmp_path / "picture")
    for part in xml.etree.ElementTree.fromstring((tmp_path / "picture.svg").read_bytes()).iter():
        assert part.tag.rpartition("}")[2] not in ("script", "a", "image", "foreignObject")
        assert not any(name.rpartition("}")[2].startswith("on") for name in part.attrib)
        assert all(value.startswith("#") for name, value in part.attrib.items() if name.endswith("href"))


# Downloads


class Asked(Exception):
    pass


def asked_for(module):
    """The address and sha256 that a data set without a folder downloads, or nothing."""

    def download(*told):
        raise Asked(*told)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar, "download", download)
        patch.setattr(tiny_imagenet, "download", download)
        try:
            module.read(None, 1, 1)
        except Asked as asked:
            return asked.args
    return ()


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(datasets.__path__)])
def test_what_is_downloaded_comes_over_https_and_is_known_by_its_digest(name):
    module = importlib.import_module(f"pipeline.data.datasets.{name}")
    text = Path(module.__file__).read_text()
    asked = asked_for(module)
    assert asked == () if name == "shapes" else asked[0].startswith("https://") and re.fullmatch("[0-9a-f]{64}", asked[1])
    assert not re.search(r"\b(http|ftp)://", text) and text.count("https://") == len(asked[:1])
