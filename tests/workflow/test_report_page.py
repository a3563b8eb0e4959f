"""The report as a browser shows it: complete, without a network, on a wide screen and on a telephone."""

import html
import json
import re
import shutil
import subprocess
import zipfile

import debian
import pytest
from copied import call

WIDTHS = (1280, 390, 360)
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-sync")
OFFLINE = ("--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND")
BROWSERS_OWN = "not an origin"  # who asked, where it was no page
# In the page: what is too wide and what did not load, told to the page around it
PROBE = """<script>
addEventListener("load", () => {
  const wide = [...document.body.querySelectorAll("*")].filter(e => !e.closest(".scroll, .frame, pre, .skip")
    && e.getBoundingClientRect().right > innerWidth + 1);
  parent.postMessage({
    width: innerWidth, scrolled: document.documentElement.scrollWidth, wide: wide.map(e => e.outerHTML.slice(0, 80)),
    images: [...document.images].map(i => i.complete ? Math.min(i.naturalWidth, i.naturalHeight, i.width, i.height) : 0),
    unseen: [...document.images].filter(i => !i.alt).length, nav: document.querySelector(".side").offsetHeight > 0,
    folded: document.querySelector(".fold").offsetHeight > 0, asked: performance.getEntriesByType("resource").map(e => e.name),
  }, "*");
});
</script>"""
FRAMES = """<!doctype html><body><script>
const told = []; addEventListener("message", e => { told.push(e.data); document.title = JSON.stringify(told); });
</script>""" + "".join(f'<iframe src="probe.html" style="width:{w}px;height:800px;border:0"></iframe>' for w in WIDTHS)


def drawn(tree):
    """The figures that are not missing."""
    paths = (tree / "results/tiny/figures").glob("*.json")
    return [path.stem for path in paths if json.loads(path.read_text())["missing"] is None]


@pytest.fixture(scope="module")
def browser():
    """Chromium, installed by apt-get where it is missing and may be."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if not any(map(shutil.which, names)):
        debian.install("chromium")
    found = next(filter(None, map(shutil.which, names)), None)
    return found or pytest.skip("no Chromium here, and it can't be installed: apt-get install chromium (as root), then again")


@pytest.fixture(scope="module")
def shown(browser, tree, tmp_path_factory):
    """Shows a file of the results; returns its document as it is in the end, the browser's messages and what it asked for."""

    def show(name, *flags):
        own = tmp_path_factory.mktemp("browser")
        command = [
            browser,
            *QUIET,
            *OFFLINE,
            f"--user-data-dir={own}",
            f"--log-net-log={own}/net.json",
            "--enable-logging=stderr",
        ]
        command += [*flags, "--virtual-time-budget=5000", "--dump-dom", f"file://{tree}/results/tiny/{name}"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stderr
        told = [event.get("params", {}) for event in json.loads((own / "net.json").read_text())["events"]]
        asked = {one["url"] for one in told if one.get("initiator", BROWSERS_OWN) != BROWSERS_OWN}
        return run.stdout, run.stderr, asked

    return show


def test_the_page_needs_neither_network_nor_script_and_nothing_goes_wrong(shown, tree):
    page = (tree / "results/tiny/report.html").read_text()
    assert "<script" not in page and "javascript:" not in page and "@import" not in page
    assert not re.search(r'(?:src|href|action)\s*=\s*["\']?\s*(?:[a-z]+:)?//', page) and not re.search(
        r"url\((?!['\"]?data:)", page
    )
    document, messages, asked = shown("report.html")
    assert "<h1>AT-SNN beside its baselines</h1>" in document and document.rstrip().endswith("</html>")
    assert "CONSOLE" not in messages, messages
    assert asked == set()
    (tree / "results/tiny/control.html").write_text('<img src="http://a.invalid/"><script>console.error("seen")</script>')
    _, messages, asked = shown("control.html")
    assert "CONSOLE" in messages and asked == {"http://a.invalid/"}, "what goes wrong would be seen"


def test_every_picture_loads_and_nothing_is_wider_than_the_screen(shown, tree):
    results = tree / "results/tiny"
    page = (results / "report.html").read_text()
    (results / "probe.html").write_text(page.replace("</head>", f"{PROBE}</head>"))
    (results / "frames.html").write_text(FRAMES)
    document, _, _ = shown("frames.html")
    told = json.loads(html.unescape(re.search(r"<title>(.*)</title>", document).group(1)))
    assert sorted(one["width"] for one in told) == sorted(WIDTHS)
    for one in told:
        assert one["scrolled"] <= one["width"] and one["wide"] == [], one
        assert len(one["images"]) == 1 + len(drawn(tree)) and min(one["images"]) > 50 and one["unseen"] == 0, one
        assert one["asked"] == []
        assert (one["nav"], one["folded"]) == ((True, False) if one["width"] > 1000 else (False, True))


def test_every_link_leads_somewhere(tree):
    results = tree / "results/tiny"
    page = (results / "report.html").read_text()
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    links = {html.unescape(link) for link in re.findall(r'href="([^"]*)"', page)}
    assert {link for link in links if link.startswith("#") and link[1:] not in ids} == set()
    assert {link for link in links if not link.startswith("#") and not (results / link).is_file()} == set()
    named = (
        "summary",
        "table1",
        "claims",
        "figures",
        "training",
        "blocks",
        "exits",
        "energy",
        "runs",
        "declaration",
        "environment",
    )
    assert {f"#{name}" for name in named} <= links
    for figure in ("blocks_per_token", "accuracy_over_tokens"):
        assert {f"#figure-{figure}", *(f"figures/{figure}.{kind}" for kind in ("svg", "pdf", "json"))} <= links


def test_a_figure_that_is_not_there_stops_nothing_and_once_it_is_the_page_is_the_same_again(tree):
    results = tree / "results/tiny"
    before, picture = (results / "report.html").read_bytes(), results / "figures/blocks_per_token.svg"
    picture.rename(results / "aside.svg")
    try:
        run = call(tree, "pipeline.report", "--scale", "tiny")
        assert run.returncode == 0, run.stderr
        page = (results / "report.html").read_text()
        assert "blocks_per_token.svg not found: run snakemake" in page and page.count("<img") == len(drawn(tree))
    finally:
        (results / "aside.svg").rename(picture)
        run = call(tree, "pipeline.report", "--scale", "tiny")
    assert run.returncode == 0 and (results / "report.html").read_bytes() == before, run.stderr


def test_snakemakes_own_report_has_tables_figures_and_the_page(tree):
    """Without a network too: it brings its scripts along."""

    run = call(tree, "snakemake", "--report", "report.zip", "--config", "scale=tiny")
    assert run.returncode == 0, run.stdout + run.stderr
    held = {name.rsplit("/", 1)[1] for name in zipfile.ZipFile(tree / "report.zip").namelist()}
    assert {"report.html", "table1.csv", "energy.csv", "claims.csv", "blocks_per_token.svg", "accuracy_over_tokens.svg"} <= held
