"""Open the templates of pages, which escape whatever they are given."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup, escape

from pipeline.core.number_formats import duration, energy, number, spread

TEMPLATES = Path(__file__).with_name("templates")


def environment() -> Environment:
    """Templates that escape whatever they are given."""
    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(["j2"]), trim_blocks=True)
    made.filters |= {"number": number, "spread": spread, "energy": energy, "duration": duration, "name": name}
    return made


def name(method: str) -> Markup:
    """A method's name, with the paper's raised e."""
    return escape(method).replace("^e", Markup("<sup>e</sup>"))
