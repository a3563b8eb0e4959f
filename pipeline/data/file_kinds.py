"""Say in words what a file or folder holds, and tell files of data sets from those that operating systems leave behind."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

DEPTH = 5  # folders below a data folder that are looked at, to say what it holds
ENTRIES = 1000  # of one folder, at most
FOLDERS = 300  # in all, at most
FIRST_BYTES = (
    (rb"\s*<(!doctype|html)", "an HTML page"),
    (rb"version https://git-lfs", "a pointer of Git LFS, in whose place git lfs pull brings the file"),
    (rb"PK\x03\x04", "a zip archive"),
    (rb"\x1f\x8b", "packed with gzip"),
    (rb"7z\xbc\xaf", "a 7z archive"),
    (rb"Rar!", "a rar archive"),
    (rb"BZh", "packed with bzip2"),
    (rb"\xfd7zXZ", "packed with xz"),
    (rb".{257}ustar", "a tar archive without gzip"),
    (rb"PAR1", "a parquet file"),
    (rb"\x89PNG", "a PNG image"),
    (rb"\xff\xd8\xff", "a JPEG image"),
    (rb"GIF8", "a GIF image"),
    (rb"RIFF.{4}WEBP", "a WebP image"),
    (rb"\x89HDF", "an HDF5 file"),
    (rb"\x93NUMPY", "a NumPy array"),
    (rb"MATLAB", "a Matlab file"),
)
NAMES = (
    (r"(data_batch_\d|test_batch|train|test)\.bin|cifar.*binary.*\.(zip|tar|gz|tgz)", "the binary version of CIFAR"),
    (r".*\.mat|cifar.*matlab.*\.(zip|tar|gz|tgz)", "Matlab's version"),
    (r".*\.parquet", "parquet files"),
    (r".*\.arrow", "arrow files"),
    (r".*\.tfrecord.*", "TFRecord files"),
    (r".*\.(part|crdownload|download|partial|aria2|tmp)", "a download that did not end"),
    (r".*\.png", "PNG images"),
    (r".*\.jpe?g", "JPEG images"),
    (r".*\.(zip|tar|tgz|gz|bz2|xz|7z|rar)", "an archive"),
    (r".*\.(npz|npy|h5|hdf5|pt|pth|beton|csv)", "arrays or tables"),
)
LEFT_BEHIND = re.compile(  # names of files and folders, besides hidden ones
    r"""(eh)?thumbs(_vista)?\.db | desktop\.ini | desktop\ d[bf] | icon(\r|\uf00d) | picasa\.ini | zbthumbnail\.info
    | __macosx | temporary\ items | network\ trash\ folder | @eadir | @tmp | @recycle | @recently-snapshot | \#recycle | \#snapshot
    | \$recycle\.bin | recycler | recycled | lost\+found | found\.\d{3} | system\ volume\ information | aquota\.(user|group)
    | __pycache__ | .*~ | \#.*\#""",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
# What Windows and macOS note about a file beside it, on a disk that has no place for that: a.JPEG:Zone.Identifier
STREAM = re.compile(r"[:\uf03a](zone\.identifier|encryptable|smartscreen|afp_\w+|com\.[\w.#]+)(:\$data)?$", re.IGNORECASE)


def is_left_behind(name: str) -> bool:
    """Tell whether a relative name is, or lies in, something hidden or left behind by a system, a file server or an editor."""
    return any(part.startswith(".") or LEFT_BEHIND.fullmatch(part) or STREAM.search(part) for part in name.split("/"))


def kind_of(content: bytes) -> str:
    """Name what a file is by its first bytes: "empty", "an HTML page"; nothing where they are of no known kind."""
    start = content[:4096]
    if not start.strip(b"\0"):
        return "nothing but zeros, as a cut download leaves them" if start else "empty"
    return next((words for pattern, words in FIRST_BYTES if re.match(pattern, start, re.IGNORECASE | re.DOTALL)), "")


def fault(start: bytes, error: object, wanted: str) -> str:
    """Say why a file that must be `wanted` can't be read, by what it is instead or else by the error, and what to do."""
    kind = kind_of(start)
    if not start.strip(b"\0") or kind in ("", wanted):
        return f"{error if kind in ('', wanted) else f'it is {kind}'}: it is damaged or truncated, get it again"
    return f"it is {kind}, and must be {wanted}: get it again"


def start_of(path: Path) -> bytes:
    """Read the first bytes of a file; none where it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError:
        return b""


def misfit(path: Path, wanted: str) -> str:
    """Say what stands at a path instead of a "file" or "folder"; nothing where such a one stands there, or nothing at all."""
    if not os.path.lexists(path) or (os.path.isfile(path) if wanted == "file" else os.path.isdir(path)):
        return ""
    if os.path.isdir(path):
        found = "a folder"
    elif os.path.isfile(path):
        kind = kind_of(start_of(path))
        found = f"a file ({kind})" if kind else "a file"
    elif os.path.islink(path) and not os.path.exists(path):
        found = f"a link to {os.readlink(path)}, where nothing is"
    else:
        found = "a pipe or device"
    return f"{path} is {found}, and must be a {wanted}"


def entries(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield relative name and path of what lies in a folder, the nearest first; within bounds, and never failing."""
    level, seen = [("", folder)], 0
    for _ in range(DEPTH):
        below = []
        for prefix, place in level:
            seen += 1
            for name in names_in(place) if seen <= FOLDERS else ():
                yield prefix + name, place / name
                if os.path.isdir(place / name) and not os.path.islink(place / name):
                    below.append((f"{prefix}{name}/", place / name))
        level = below


def names_in(folder: Path) -> list[str]:
    """List the names in a folder, sorted, without those left behind; none where it can't be read."""
    names = []
    try:
        with os.scandir(folder) as found:
            for entry, _ in zip(found, range(ENTRIES)):
                names.append(entry.name)
    except OSError:
        pass
    return sorted(name for name in names if not is_left_behind(name))


def holdings(folder: Path) -> str:
    """Say what a folder holds: kinds of files that data sets come in, with an example of each; else its first names."""
    examples: dict[str, str] = {}
    first = []
    for name, path in entries(folder):
        if "/" not in name:
            first.append(name)
        words = next((words for pattern, words in NAMES if re.fullmatch(pattern, path.name, re.IGNORECASE)), None)
        if os.path.islink(path) and not os.path.exists(path):
            words = f"a link to {os.readlink(path)}, which is not there"
        if words and not os.path.isdir(path):
            examples.setdefault(words, name)
    if examples:
        order = [words for _, words in NAMES]
        kinds = sorted(examples, key=lambda words: order.index(words) if words in order else -1)
        return "it holds " + ", ".join(f"{words} ({examples[words]})" for words in kinds[:3])
    if not first:
        return "it is empty"
    return f"it holds {', '.join(first[:3])}" + (f" and {len(first) - 3} more" if len(first) > 3 else "")
