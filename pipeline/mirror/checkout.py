"""Name this checkout, so that several of them keep their runs apart in one MLflow.

results/.checkout, which git ignores, holds the name: random digits, nothing of the machine or its user. A checkout keeps it
when its folder is moved or is seen by another path, as in a container. A copy brings the file along, but has another folder
and another inode, and is given a name of its own.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.atomic_files import partial_path, path_in_errors, read_json
from pipeline.core.errors import UserError
from pipeline.core.paths import RESULTS

FILE = RESULTS / ".checkout"
DIGITS = 8


def checkout_id() -> str:
    """Give the name of this checkout, made where there is none; of processes that begin at once, all get the same one.

    Raises UserError where its file is damaged or can't be written.
    """
    try:
        if not FILE.exists():
            create()
        name, folder, inode = read()
        if inode == FILE.stat().st_ino or folder == own_folder():
            return name
        name = hashlib.sha256(f"{name} {own_folder()}".encode()).hexdigest()[:DIGITS]  # the same one for all jobs of the copy
        with written(name) as partial:
            os.replace(partial, FILE)
        return name
    except OSError as error:
        raise UserError(
            f"{FILE}, which names this checkout in MLflow, can't be written ({error.strerror}): check the folder"
        ) from error


def read() -> tuple[str, str, int]:
    """Read the name, and the folder and the inode that the file had when it was written. Raises UserError where it is damaged."""
    content = read_json(FILE, "checkout", "folder", "inode")
    if not re.fullmatch(rf"[0-9a-f]{{{DIGITS}}}", str(content["checkout"])):
        raise UserError(f"{FILE} holds no name of a checkout: delete it, and a new one is made")
    return content["checkout"], content["folder"], content["inode"]


def create() -> None:
    """Write a new name, unless another process was faster."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    with written(secrets.token_hex(DIGITS // 2)) as partial:
        try:
            os.link(partial, FILE)  # unlike a rename, it replaces nothing
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            if not FILE.exists():
                os.replace(partial, FILE)


@contextlib.contextmanager
def written(name: str) -> Iterator[Path]:
    """Write a file with a name beside FILE, for the block to put it in place: it keeps its inode."""
    partial = partial_path(FILE)
    try:
        with path_in_errors(partial), partial.open("w", encoding="utf-8") as file:
            content = {"checkout": name, "folder": own_folder(), "inode": os.fstat(file.fileno()).st_ino}
            file.write(json.dumps(content) + "\n")
            file.flush()
            os.fsync(file.fileno())
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def own_folder() -> str:
    """Give the path of the folder that holds the file."""
    return str(FILE.parent.resolve())
