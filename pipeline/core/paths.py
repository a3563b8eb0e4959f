"""Say where the project and its results lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


RESULTS = Path("results")
