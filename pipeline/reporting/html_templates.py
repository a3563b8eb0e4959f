"""Open the pages' Jinja templates, which escape every value that is put into them."""
# Tested in tests/faults/test_exposed_pages.py

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup, escape

from pipeline.core.number_formats import duration, energy, number, spread

TEMPLATES = Path(__file__).with_name("templates")


def environment() -> Environment:
    """Open the templates with autoescaping and with the filters for numbers, energies, durations and names of methods."""
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(["j2"]), trim_blocks=True)
    templates.filters |= {"number": number, "spread": spread, "energy": energy, "duration": duration, "name": name}
    return templates


def name(method: str) -> Markup:
    """Write a method's name in HTML, "^e" as the superscript e that the paper prints."""
    return escape(method).replace("^e", Markup("<sup>e</sup>"))
