"""Compute checksums: of files, of JSON content, and the eight digits of an id."""

import hashlib
import json
from pathlib import Path


def seal(content: dict) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content) -> str:
    """8 hex digits of what the content says, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
