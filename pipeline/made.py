"""The file that says from which runs and evaluations a product was made."""

from pipeline import record as records
from pipeline.campaign import Campaign


def mark_made(campaign: Campaign, product: str) -> None:
    """Leave the file that says what a product was made from, and drop those of earlier sets."""
    path = campaign.made_from(product)
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(f"{product}-*.json"):
        old.unlink()
    made = {"product": product, "runs": [run.id for run in campaign.runs], "evaluations": [e.id for e in campaign.evaluations]}
    records.replace_json(path, made)
