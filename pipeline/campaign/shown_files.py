"""Find what a campaign shows where it is there, but does not make: its speed by kind of processor, and the log of faults."""
# Tested in tests/pipeline/planning/test_benchmark.py

from pathlib import Path

from pipeline.core.paths import RESULTS

FAULTS = RESULTS / "faults.jsonl"  # the log of `make faults`


def speed_files(folder: Path, name: str) -> list[Path]:
    """List the files of a name in a campaign's folder, one for each kind of processor that pipeline.bench measured it on."""
    return sorted(folder.glob(f"bench/*/{name}"))


def shown_files(folder: Path) -> list[Path]:
    """List what the report of the campaign in a folder shows beside its own products."""
    return [*speed_files(folder, "index.html"), *([FAULTS] if FAULTS.exists() else [])]
