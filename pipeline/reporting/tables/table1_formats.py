"""Format Table 1 for readers: the same cells as Markdown, LaTeX and HTML."""

import pandas as pd

from pipeline.core.number_formats import text
from pipeline.reporting import html_templates

HEADINGS = {
    "dataset": "Dataset",
    "method": "Method",
    "architecture": "Architecture",
    "tokens": "Avg. tokens",
    "timesteps": "T",
    "accuracy": "Acc (%)",
    "n": "n",
    "best": "best on test",
    "paper_tokens": "paper: tokens",
    "paper_timesteps": "T",
    "paper_accuracy": "Acc (%)",
    "gap": "gap",
}
TEXT_COLUMNS = ("dataset", "method", "architecture")
SIDES = {
    key: "here" for key in ("tokens", "timesteps", "accuracy", "n", "best")
}  # stands above a heading where the paper is shown too
SIDES |= {"paper_tokens": "paper", "paper_timesteps": "paper", "paper_accuracy": "paper"}
NOTE = (
    "Architecture: of our network, where there is one. Avg. tokens: tokens computed per block and executed timestep, over the 64 "
    "that patch splitting gives. T: timesteps; † those "
    "the network was trained with; a fraction is the mean over images that stop by themselves, with a threshold chosen on "
    "held-out training images. Acc: last epoch, mean ± standard deviation over n seeds, evaluated in the arithmetic of its training; best on test: the "
    "epoch that is best on the test set, as the published trainer keeps it, which favours it. Every method but STATIC is trained on "
    "from STATIC's weights; STATIC, retrained, has had as much training as they. Paper: Kang et al., Table 1; * re-run by its "
    "authors, ‡ quoted there from other papers. Gap: ours minus the paper's in points, and in standard deviations of ours; blank "
    "where data, network, recipe or scale are not the paper's. §: doubtful, for a reason that is given. Scale: {scale}, {about}."
)
MARKS = {"rerun": "*", "quoted": "‡", "own": ""}


def note(campaign) -> str:
    """Write the note that explains the columns, with the campaign's scale."""
    return NOTE.format(scale=campaign.experiment.scale, about=campaign.experiment.about)


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """Format each row as text; columns as HEADINGS, without those that are empty in every row."""
    texts = pd.DataFrame([cells_of(row) for row in table.itertuples()], columns=list(HEADINGS)).fillna("")
    return texts.loc[:, (texts != "").any()]


def cells_of(row) -> dict[str, str]:
    """Format one row: the text of each column of HEADINGS that it has."""
    texts = {"dataset": row.dataset, "method": row.method, "architecture": row.architecture}
    if not pd.isna(row.n):
        dagger = "†" if row.dagger == "yes" else ""
        spread = "" if pd.isna(row.accuracy_std) else f" ± {row.accuracy_std:.2f}"
        texts |= {"tokens": f"×{row.avg_tokens:.4g}", "timesteps": f"{row.timesteps:.4g}{dagger}", "n": f"{row.n:.0f}"}
        doubt = " §" if remarks_of(row) else ""
        texts |= {"accuracy": f"{row.accuracy_mean:.2f}{spread}{doubt}", "best": text("{:.2f}", row.best_on_test_mean)}
    texts |= {"paper_tokens": text("×{:.4g}", row.paper_avg_tokens), "paper_timesteps": text("{:.4g}", row.paper_timesteps)}
    texts["paper_accuracy"] = text("{:.2f}", row.paper_accuracy) + MARKS.get(row.paper_origin, "")
    deviations = "" if pd.isna(row.gap_in_std) else f" ({row.gap_in_std:+.1f} σ)"
    texts["gap"] = text("{:+.2f}", row.gap) + deviations
    return texts


def remarks_of(row) -> str:
    """Read what makes a row doubtful; empty where nothing does, which a table read from its file has as NaN."""
    return row.remarks if isinstance(row.remarks, str) else ""


def remarks(table: pd.DataFrame) -> list[str]:
    """List the doubtful rows, each with its reason."""
    pairs = [(row, remarks_of(row)) for row in table.itertuples()]
    return [
        f"{row.dataset}, {row.architecture}, {row.method}, T = {row.timesteps:.4g}: {reason}" for row, reason in pairs if reason
    ]


def markdown(table: pd.DataFrame, note: str) -> str:
    """Write a GitHub table with the origin and the runs of each row, and below it the doubtful rows and the note."""
    texts = cells(table)
    lines = ["| " + " | ".join([*(HEADINGS[key] for key in texts), "origin", "runs"]) + " |"]
    lines.append("|" + "---|" * (len(texts.columns) + 2))
    for row_texts, row in zip(texts.itertuples(index=False), table.itertuples()):
        lines.append("| " + " | ".join([*row_texts, origin_of(row), "" if pd.isna(row.n) else row.run_ids]) + " |")
    lines += ["", *(f"- § doubtful: {text}" for text in remarks(table))]
    return "\n".join([*lines, *([""] if remarks(table) else []), note]) + "\n"


def origin_of(row) -> str:
    """Say where the measured and the paper's cells of a row come from."""
    measured = [] if pd.isna(row.n) else [f"{row.origin}; scale {row.scale}"]
    paper = [] if pd.isna(row.paper_origin) else [f"paper's ({row.paper_architecture}): {row.paper_source}"]
    return "; ".join([*measured, *paper])


def latex(table: pd.DataFrame) -> str:
    """Write a booktabs table; signs that plain LaTeX lacks become mathematics."""
    texts = cells(table).rename(columns=HEADINGS)
    source = texts.to_latex(index=False, escape=True, column_format="lll" + "r" * (len(texts.columns) - len(TEXT_COLUMNS)))
    signs = {"×": r"$\times$", "±": r"$\pm$", "†": r"$^\dagger$", "‡": r"$^\ddagger$", "§": r"\S", "σ": r"$\sigma$"}
    signs |= {"γ": r"$\gamma$", "α": r"$\alpha$", "β": r"$\beta$", "ε": r"$\epsilon$", "δ": r"$\delta$", "λ": r"$\lambda$"}
    signs["\\textasciicircum e"] = "$^e$"
    for sign, command in signs.items():
        source = source.replace(sign, command)
    return source


def html(table: pd.DataFrame, links: dict[str, str], root: str) -> str:
    """Write the table alone; `links` has the file of each run's evaluations, in the scale's folder, which is at `root`."""
    texts = cells(table)
    row_facts = [
        {"runs": links_of(row, links), "origin": origin_of(row), "gap_class": gap_class(row.gap_in_std)}
        for row in table.itertuples()
    ]
    rows = [row_texts | facts for row_texts, facts in zip(texts.to_dict("records"), row_facts)]
    groups = [[row for row in rows if row["dataset"] == name] for name in dict.fromkeys(row["dataset"] for row in rows)]
    compared = any(key.startswith("paper") for key in texts)
    headings = [
        {"key": key, "side": SIDES.get(key, "") if compared else "", "name": HEADINGS[key].removeprefix("paper: ")}
        for key in texts
    ]
    return (
        html_templates.environment()
        .get_template("table1.html.j2")
        .render(groups=groups, headings=headings, words=TEXT_COLUMNS, root=root, remarks=remarks(table))
    )


def gap_class(deviations: float | None) -> str:
    """Name the CSS class that colours a gap, by its size in standard deviations over seeds: up to 1, up to 2, beyond."""
    if pd.isna(deviations):
        return ""
    return "within1" if abs(deviations) <= 1 else "within2" if abs(deviations) <= 2 else "beyond"


def links_of(row, links: dict[str, str]) -> list[dict[str, str]]:
    """List the runs of a row, each with the file of its evaluations; none for a row of the paper alone."""
    return [] if pd.isna(row.n) else [{"run": run, "evaluation": links[run]} for run in row.run_ids.split()]
