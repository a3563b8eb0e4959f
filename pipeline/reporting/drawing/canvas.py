"""Open and save figures: one style, colours for the colour-blind too, and files with the same bytes every time."""
# Tested in tests/pipeline/reporting/figures/test_figures.py

import io
from pathlib import Path

from pipeline.core.atomic_files import replace

# Okabe and Ito's colours without their yellow, which is too pale for a line, and with a grey
BLACK, GREY, ORANGE, SKY = "#000000", "#7F7F7F", "#E69F00", "#56B4E9"
GREEN, BLUE, RED, PURPLE = "#009E73", "#0072B2", "#D55E00", "#CC79A7"
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)
METHODS = {  # one method has one colour and one marker in every figure
    "static": (BLACK, "o"),
    "static_control": (GREY, "s"),
    "tet": (ORANGE, "^"),
    "dt_snn": (SKY, "v"),
    "seenn_i": (PURPLE, "v"),
    "at_snn": (BLUE, "D"),
    "at_snn_e": (BLUE, "P"),
    "merge_only": (GREEN, "<"),
    "halt_only": (RED, ">"),
    "a_vit": (RED, "h"),
}
MODULES = {"sps": GREY, "ssa": BLUE, "mlp": SKY, "head": BLACK, "matching": RED}  # parts of a network
MERGED, HALTED, COMPUTED = PURPLE, BLUE, "#FFFFFF"  # fates of a token
HEAT = "cividis"  # for maps: even steps of lightness, the same to colour-blind eyes
STYLE = {
    "svg.hashsalt": "at-snn",  # the same ids every time
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.markersize": 5,
    "image.interpolation": "nearest",
}


def pyplot():
    """Import matplotlib.pyplot without a screen, in the figures' style."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update(STYLE)
    return plt


def panels(rows: int = 1, columns: int = 1, *, width: float | None = None, height: float | None = None, **options):
    """Open a figure and its axes [rows, columns]; width and height in inches, about 3.6 x 3 per panel by default."""
    size = (width or max(4.8, 3.6 * columns), height or 3.0 * rows + 0.2)
    return pyplot().subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)


def look(method: str) -> dict:
    """Choose colour and marker of a method; one without an entry in METHODS gets a colour computed from its name."""
    colour, marker = METHODS.get(method) or (COLOURS[sum(map(ord, method)) % len(COLOURS)], "X")
    return {"color": colour, "marker": marker}


def darker(colour: str, times: int) -> str:
    """Darken the colour of a method for its further networks: halve its brightness `times` times."""
    return "#" + "".join(f"{int(int(colour[i : i + 2], 16) * 0.5**times):02x}" for i in (1, 3, 5))


def block_colour(block: int, depth: int) -> tuple:
    """Choose the colour of a block, counted from 0: from dark to light over the network."""
    return pyplot().get_cmap(HEAT)(0.05 + 0.85 * block / max(1, depth - 1))


def raised(title: str) -> str:
    """Write a method's name with its superscript in matplotlib's notation."""
    return title.replace("^e", "$^e$")


def notice(axis, text: str) -> None:
    """Write a text in place of a panel that can't be drawn; its $ are not mathematics."""
    axis.set_axis_off()
    axis.text(0.5, 0.5, text.replace("$", r"\$"), ha="center", va="center", wrap=True, fontsize=9, transform=axis.transAxes)


def svg(figure) -> bytes:
    """Write the figure as an SVG, the same bytes whenever the same is drawn."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def save(figure, stem: Path) -> None:
    """Write <stem>.svg and <stem>.pdf, the same bytes whenever the same is drawn, and close the figure."""
    replace(stem.with_suffix(".svg"), svg(figure))
    pdf = io.BytesIO()
    figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    replace(stem.with_suffix(".pdf"), pdf.getvalue())
    pyplot().close(figure)
