"""Compute checksums of files and of JSON content, and the eight digits of an id."""

import hashlib
import json
from pathlib import Path


def seal(content: dict) -> str:
    """Compute the sha256 of JSON content, in the order of its keys."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Compute a file's sha256, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content) -> str:
    """Compute 8 hex digits of the sha256 of JSON content, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
