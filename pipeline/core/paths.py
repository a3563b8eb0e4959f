"""Name the folders of the project and of its results."""
# Tested in tests/test_rooms.py

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path("results")
