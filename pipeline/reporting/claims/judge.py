"""Judge the paper's checkable sentences by what was measured.

The command is pipeline.claims, whose text says how it is used and by which rules.
"""

import pandas as pd
import yaml

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.freshness import mark_made
from pipeline.campaign.titles import data_title
from pipeline.core import atomic_files
from pipeline.core.paths import ROOT
from pipeline.reporting.claims.evidence import Evidence, Undecided, Unmeasured
from pipeline.reporting.claims.measures import MEASURES
from pipeline.reporting.tables.readings import warnings_text

HOLDS, DOES_NOT, UNKNOWN = "holds", "doesn't hold", "can't tell at this scale"
CONFIDENCE = 0.95
SENTENCES = ROOT / "baselines" / "paper_claims.yaml"
STATED = "stated"  # the bound is the paper's own number
COLUMNS = [
    "claim",
    "sentence",
    "source",
    "quantity",
    "rule",
    "dataset",
    "value",
    "spread",
    "n",
    "low",
    "high",
    "stated",
    "unit",
] + ["verdict", "note", "evidence", "scale"]


def judge(values: pd.Series, bound: float, below: bool) -> dict:
    """Apply the rule to values, one per seed; give the verdict and its interval. Raises Unmeasured where there are no values."""
    from scipy import stats

    if values.empty:
        raise Unmeasured("no seed has both networks")
    n, mean = len(values), float(values.mean())
    if n < 2:
        return {"value": mean, "n": n, "verdict": UNKNOWN, "note": "one seed has no spread"}
    low = high = mean
    if values.std() > 0:
        low, high = map(float, stats.t.interval(CONFIDENCE, n - 1, loc=mean, scale=values.sem()))
    above = HOLDS if low > bound else DOES_NOT if high < bound else UNKNOWN
    verdict = {HOLDS: DOES_NOT, DOES_NOT: HOLDS}.get(above, UNKNOWN) if below else above
    if low == bound == high:
        verdict = HOLDS if below else DOES_NOT  # "at most" is met, "more" is not
    return {"value": mean, "spread": float(values.std()), "n": n, "low": low, "high": high, "verdict": verdict}


def read_sentences() -> dict[str, dict]:
    """Read the paper's sentences, by the name of the claim."""
    return yaml.safe_load(SENTENCES.read_text(encoding="utf-8"))


def claims(campaign: Campaign) -> pd.DataFrame:
    """Judge every claim on every data set of the campaign that it applies to: a row each."""
    evidence, sentences = Evidence.read(campaign), read_sentences()
    datasets = list(dict.fromkeys(evidence.readings.dataset))
    pairs = [(name, dataset) for name, claim in sentences.items() for dataset in datasets if applies_to(claim, dataset)]
    rows = [claim_row(evidence, name, sentences[name], dataset) for name, dataset in pairs]
    return pd.DataFrame(rows, columns=COLUMNS)


def applies_to(claim: dict, dataset: str) -> bool:
    """Check that the paper makes a claim of this data set, or of none in particular."""
    states = STATED not in (claim.get("at_most"), claim.get("more_than")) or dataset in claim["stated"]
    return states and claim.get("only", dataset) == dataset


def claim_row(evidence: Evidence, name: str, claim: dict, dataset: str) -> dict:
    """Judge one claim on one data set: a row of the table, its numbers rounded to four digits."""
    row = {"claim": name, "scale": evidence.campaign.experiment.scale, "stated": claim.get("stated", {}).get(dataset)}
    row |= {key: claim[key] for key in ("sentence", "source", "quantity", "unit", "evidence")}
    row["dataset"] = data_title(evidence.campaign.catalogue, dataset)
    below = "at_most" in claim
    bound = claim["at_most"] if below else claim["more_than"]
    bound = row["stated"] if bound == STATED else bound
    row["rule"] = f"{'at most' if below else 'more than'} {bound:g} {claim['unit']}"
    evidence.used.clear()
    try:
        verdict = {"note": claim.get("construction")} | judge(MEASURES[name](evidence, dataset), bound, below)
    except Undecided as undecided:
        verdict = judge(undecided.values, bound, below) | {"verdict": UNKNOWN, "note": str(undecided)}
    except Unmeasured as error:
        verdict = {"verdict": UNKNOWN, "n": 0, "note": str(error)}
    warnings = warnings_text(evidence.readings[evidence.readings.evaluation_id.isin(evidence.used)])
    verdict["note"] = "; ".join(filter(None, (verdict.get("note"), warnings and f"doubtful: {warnings}"))) or None
    return row | {key: round(x, 4) + 0.0 if isinstance(x, float) else x for key, x in verdict.items()}


def judge_all(campaign: Campaign) -> pd.DataFrame:
    """Judge the claims and write them to tables/claims.csv."""
    table = claims(campaign)
    atomic_files.replace(campaign.folder / "tables" / "claims.csv", table.to_csv(index=False, lineterminator="\n"))
    mark_made(campaign, "claims")
    return table
