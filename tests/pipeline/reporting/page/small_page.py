"""A page of the report with little on it, and what is hostile in it."""

from types import SimpleNamespace

from pipeline.reporting import html_templates
from pipeline.reporting.page import report

SVG = b'<?xml version="1.0"?>\n<svg width="360pt" height="216.5pt" viewBox="0 0 360 216"></svg>'


def page(campaign, *, git=None, **content):
    made = {
        "versions": {"torch": "2"},
        "kernels": "k",
        "device": "d",
        "threads": 1,
        "precision": "fp32",
        "git": git or {"commit": None},
    }
    run = SimpleNamespace(id="static-s3-0", parent=None, data=SimpleNamespace(origin="shapes"))
    ended = {"done": {"epochs": 1, "seconds": 3}, "last": {"images_per_second": 9.0}, "results": None}
    common = {"experiment": campaign.experiment, "verdicts": report.VERDICTS, "runs": [{"run": run, "made": made} | ended]}
    common |= {"curves": report.picture(SVG), "facts": {}, "figures": [], "claims": []}
    return html_templates.environment().get_template("report.html.j2").render(common | content)


HOSTILE = """<script>alert("1")</script>"' onerror='x"""
