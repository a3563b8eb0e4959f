"""Download an official archive, checked by its sha256: with its size and progress, and going on where it was cut off."""

import fcntl
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError
from pipeline.core.redaction import redact
from pipeline.data.file_kinds import kind_of, start_of

DOWNLOADS = Path("data/downloads")
ATTEMPTS = 4  # in a row that bring nothing
PAUSE = 2.0  # seconds before the next attempt, more after each one
TIMEOUT = (20, 60)  # seconds to connect, and without a byte
CHUNK = 2**16  # bytes
LINE_SHARE = 0.1  # of the file, for which a line of progress is due
LINE_SECONDS = (2, 60)  # after which one comes at the earliest, and at the latest
TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}  # of HTTP: the server may answer later


class Interrupted(Exception):
    """A download that brought less than the file, and may bring more at the next attempt."""


class Refused(Exception):
    """A download that no other attempt can mend."""


def download(address: str, sha: str) -> Path:
    """Download a file, check its sha256 and keep it under data/downloads. Raises UserError where that fails.

    What a download that was cut off or killed has brought is kept as .part, and the next one goes on with it; since the sha256 of
    the whole is known, no date or tag of the server is needed to trust it.
    """
    if not address.startswith("https://"):
        raise UserError(f"{address} is no https:// address: nothing is downloaded from it")
    path = DOWNLOADS / address.rsplit("/", 1)[-1]
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    with only_one(path):
        if path.is_file():
            if sha256(path) == sha:
                return path
            say(f"{path} has another sha256 than the official archive: downloads it again")
        part = path.with_name(f"{path.name}.part")
        try:
            fetch_whole(address, part, sha)
        except (Interrupted, Refused) as error:
            kept = f"; {megabytes(size_of(part))} are kept, and the next command goes on there" if size_of(part) else ""
            if not kept:
                part.unlink(missing_ok=True)
            raise UserError(
                f"could not download {address}: {error}{kept}; check the network, or get {path.name} elsewhere and copy it to "
                f"{DOWNLOADS}, or name a folder that holds it (--config data=FOLDER, or the environment variable ATSNN_DATA)"
            ) from error
        os.replace(part, path)
    return path


def say(line: str) -> None:
    """Write a line to standard error at once."""
    print(line, file=sys.stderr, flush=True)


def megabytes(count: int) -> str:
    """Write a number of bytes in MB."""
    return f"{count / 1e6:.1f} MB" if count >= 50_000 else f"{count} bytes"


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock of a download for the block; say so once where another process, named in the lock's file, has it."""
    with path.with_name(f".{path.name}.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"waits for process {file.read().strip() or 'unknown'}, which downloads {path.name}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{os.getpid()} on {os.uname().nodename}\n")
        file.flush()
        yield


def fetch_whole(address: str, part: Path, sha: str) -> None:
    """Download a file to `part` and check it; what does not fit is dropped, and the file fetched once more from its beginning."""
    for is_last in (False, True):
        fetch_patiently(address, part, sha)
        if sha256(part) == sha:
            return
        found = described(part)
        part.unlink()
        if not is_last:
            say(f"{part.stem}: what came ({found}) is not the official archive: begins anew")
    raise Refused(f"what came ({found}) has another sha256 (hash) than the official archive")


def described(part: Path) -> str:
    """Say how large a file is, and what, where its first bytes tell that."""
    kind = kind_of(start_of(part))
    return megabytes(size_of(part)) + (f", {kind}" if kind else "")


def fetch_patiently(address: str, part: Path, sha: str) -> None:
    """Download to `part`, attempt after attempt, as long as one of ATTEMPTS in a row brings more than there was."""
    most, failures = size_of(part), 0
    while True:
        try:
            return fetch(address, part, sha)
        except Interrupted as error:
            size = size_of(part)
            most, failures = (size, 1) if size > most else (most, failures + 1)
            if failures >= ATTEMPTS:
                raise
            pause = PAUSE * failures
            say(f"{part.stem}: {error}; has {megabytes(size)}, tries again in {pause:g} s (attempt {failures + 1} of {ATTEMPTS})")
            time.sleep(pause)


def size_of(path: Path) -> int:
    """Give a file's size in bytes, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def fetch(address: str, part: Path, sha: str) -> None:
    """Download what `part` lacks, in one attempt. Raises Interrupted where it is cut off, Refused where the server won't."""
    begun = size_of(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
    say(f"{part.stem}: waits for {urlsplit(address).netloc}")
    with ask(address, headers) as response:
        begun, total = check_answer(response, begun, part)
        if begun is None:
            return
        write(chunks_of(response, address), part, begun, total)
        says_its_end = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    size = size_of(part)
    if total is not None and size < total:
        raise Interrupted(f"the connection was cut at {megabytes(size)} of {megabytes(total)}")
    if total is None and not says_its_end and sha256(part) != sha:
        raise Interrupted(f"what came ({described(part)}) was cut, or is another file: the server does not say its size")


def ask(address: str, headers: dict[str, str]):
    """Ask a server for a file, and return its answer once that begins. Raises Interrupted where another attempt may help."""
    import requests

    try:
        return requests.get(address, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.TooManyRedirects as error:
        raise Refused(f"{urlsplit(address).hostname} leads from one address to another without end") from error
    except requests.RequestException as error:
        is_final = isinstance(error, ValueError) or re.search(r"CERTIFICATE|Tunnel connection failed: 4", repr(error))
        raise (Refused if is_final else Interrupted)(in_words(error, address)) from error
    except Exception as error:  # requests lets others through, of a proxy or a file of certificates that can't be read
        raise Refused(in_words(error, address)) from error


def chunks_of(response, address: str) -> Iterator[bytes]:
    """Yield the bytes of an answer as they come, to the last one before a cut. Raises Interrupted there."""
    while True:
        try:
            chunk = response.raw.read1(CHUNK)
        except Exception as error:  # of the connection, whatever it is
            raise Interrupted(in_words(error, address)) from error
        if not chunk:
            return
        yield chunk


def check_answer(response, begun: int, part: Path) -> tuple[int | None, int | None]:
    """Find out where the bytes that come belong, nowhere where all are here already, and how many the file has, if that is said.

    Raises Interrupted or Refused for an answer without the file.
    """
    status = response.status_code
    if not response.url.startswith("https://"):
        raise Refused(f"the server leads to {redact(response.url)}, which is not encrypted")
    if status in TRY_AGAIN:
        raise Interrupted(f"the server answers {status} {response.reason}")
    if status == 416 and begun:  # nothing lies behind what is here: it is whole, which its sha256 tells, or of something else
        return None, None
    if status not in (200, 206):
        raise Refused(f"the server answers {status} {response.reason}")
    length = response.headers.get("Content-Length", "")
    whole = int(length) if length.isdecimal() else None
    if status == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not span or int(span[1]) != begun:
            part.unlink(missing_ok=True)
            raise Interrupted("the server sends another part than it was asked for: begins anew")
        whole = int(span[2]) if span[2] != "*" else None
    elif begun:
        say(f"{part.stem}: the server can't go on at {megabytes(begun)}: begins anew")
        begun = 0
    return begun, whole


def write(chunks: Iterator[bytes], part: Path, begun: int, total: int | None) -> None:
    """Append what comes to the `begun` first bytes of `part`, and say how far it is. Raises UserError for a full disk."""
    needed, free = (total or 0) - begun, shutil.disk_usage(part.parent).free
    if needed > free:
        raise UserError(
            f"{part} needs {megabytes(needed)}, and {megabytes(free)} are free: make room, or link {DOWNLOADS} elsewhere"
        )
    size = megabytes(total) if total else "a file of a size that the server does not say"
    say(f"{part.stem}: {f'goes on at {megabytes(begun)} of' if begun else 'downloads'} {size}")
    done = said = begun
    first = last = time.monotonic()
    with part.open("ab" if begun else "wb") as file:
        for chunk in chunks:
            file.write(chunk)
            done += len(chunk)
            now = time.monotonic()
            is_much = not total or done - said >= LINE_SHARE * total
            if (is_much and now - last >= LINE_SECONDS[0] and total) or now - last >= LINE_SECONDS[1]:
                say(progress(part.stem, done, total, (done - begun) / (now - first)))
                said, last = done, now
    if said < done or done == begun:
        say(progress(part.stem, done, total, (done - begun) / max(time.monotonic() - first, 1e-3)))


def progress(name: str, done: int, total: int | None, rate: float) -> str:
    """Write how far a download is: bytes, share, speed, and the minutes left."""
    line = f"{name}: {megabytes(done)}"
    if total:
        line += f" of {megabytes(total)} ({100 * done / total:.0f} %)"
    line += f", {megabytes(round(rate))}/s"
    return line + (f", {(total - done) / rate / 60:.1f} min left" if total and rate and done < total else "")


def in_words(error: Exception, address: str) -> str:
    """Say what a connection failed of: no such name, no answer in time, a certificate, a proxy; else the first error's words.

    No password of a proxy is in it.
    """
    host, text = urlsplit(address).hostname, repr(error)
    proxies = [proxy for scheme, proxy in getproxies().items() if scheme in ("https", "all")]
    reason = redact(reason_of(error), *(proxy if "://" in proxy else f"http://{proxy}" for proxy in proxies))
    if proxies and (isinstance(error, TypeError) or re.search(r"InvalidProxyURL|Failed to parse", text)):
        return "the proxy that the environment names (https_proxy) can't be read as an address: write http://host:port"
    if re.search(r"ProxyError|ProxyScheme|SOCKS", text):
        return f"the proxy that the environment names (https_proxy) does not lead to {host}: {reason}"
    if re.search(r"NameResolutionError|Name or service not known|getaddrinfo|name resolution", text):
        return f"{host} is not found: there is no internet here, or no name server"
    if re.search(r"timed out|Timeout", text):
        return f"{host} sent nothing for {TIMEOUT[0] if 'ConnectTimeout' in text else TIMEOUT[1]} s"
    if "CERTIFICATE" in text:
        return f"the certificate of {host} is not trusted: {reason}"
    if re.search(r"IncompleteRead|Connection broken|Connection aborted|RemoteDisconnected|reset", text):
        return f"the connection to {host} was cut"
    return f"no connection to {host}: {reason}"


def reason_of(error: BaseException) -> str:
    """Give the words of the error that others were raised from, without the names of their classes."""
    seen: list[BaseException] = []
    while error not in seen:
        seen.append(error)
        inner = [getattr(error, name, None) for name in ("reason", "original_error", "__cause__", "__context__")]
        error = next((other for other in [*inner, *error.args] if isinstance(other, BaseException)), error)
    said = getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(said.split()).rstrip(".")
