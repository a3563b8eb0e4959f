"""Stage 6: the paper's checkable sentences, each with what was measured here.  python -m pipeline.claims --scale smoke

The rule is the same for all: a claim is a quantity per seed and a bound. It holds where the 95 % confidence interval of the
mean over seeds (Student's t) lies beyond the bound on the claimed side, it doesn't hold where the interval lies on the
other side, and else nothing can be told at this scale; neither can it from one seed, where the quantity was not measured,
or where it was on networks that the sentence is not about. What is so by construction says so in its note.
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
from pipeline.reporting.tables.readings import doubts

HOLDS, DOES_NOT, UNKNOWN = "holds", "doesn't hold", "can't tell at this scale"
CONFIDENCE = 0.95
SENTENCES = ROOT / "baselines" / "paper_claims.yaml"
STATED = "stated"  # a bound that is the paper's own number
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
    """The verdict of the rule, with the interval it was taken from."""
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
    """The paper's sentences by the name of the claim."""
    return yaml.safe_load(SENTENCES.read_text())


def claims(campaign: Campaign) -> pd.DataFrame:
    """A line per claim and data set of the campaign that it is made of."""
    evidence, sentences = Evidence.read(campaign), read_sentences()
    names = list(dict.fromkeys(evidence.readings.dataset))
    asked = [(name, dataset) for name, claim in sentences.items() for dataset in names if is_of(claim, dataset)]
    lines = [line(evidence, name, sentences[name], dataset) for name, dataset in asked]
    return pd.DataFrame(lines, columns=COLUMNS)


def is_of(claim: dict, dataset: str) -> bool:
    """The paper says it of this data set, or of none in particular."""
    states = STATED not in (claim.get("at_most"), claim.get("more_than")) or dataset in claim["stated"]
    return states and claim.get("only", dataset) == dataset


def line(evidence: Evidence, name: str, claim: dict, dataset: str) -> dict:
    told = {"claim": name, "scale": evidence.campaign.experiment.scale, "stated": claim.get("stated", {}).get(dataset)}
    told |= {key: claim[key] for key in ("sentence", "source", "quantity", "unit", "evidence")}
    told["dataset"] = data_title(evidence.campaign.catalogue, dataset)
    below = "at_most" in claim
    bound = claim["at_most"] if below else claim["more_than"]
    bound = told["stated"] if bound == STATED else bound
    told["rule"] = f"{'at most' if below else 'more than'} {bound:g} {claim['unit']}"
    evidence.used.clear()
    try:
        found = {"note": claim.get("construction")} | judge(MEASURES[name](evidence, dataset), bound, below)
    except Undecided as other:
        found = judge(other.values, bound, below) | {"verdict": UNKNOWN, "note": str(other)}
    except Unmeasured as error:
        found = {"verdict": UNKNOWN, "n": 0, "note": str(error)}
    dead = doubts(evidence.readings[evidence.readings.evaluation_id.isin(evidence.used)])
    found["note"] = "; ".join(filter(None, (found.get("note"), dead and f"doubtful: {dead}"))) or None
    return told | {key: round(x, 4) + 0.0 if isinstance(x, float) else x for key, x in found.items()}


def judge_all(campaign: Campaign) -> pd.DataFrame:
    """`claims`, written to tables/claims.csv."""
    table = claims(campaign)
    atomic_files.replace(campaign.folder / "tables" / "claims.csv", table.to_csv(index=False, lineterminator="\n"))
    mark_made(campaign, "claims")
    return table
