"""Take passwords and tokens out of text that comes from outside, before it is printed or recorded."""

import os
import re
from urllib.parse import quote, unquote

HIDDEN = "***"
# Variables that may hold an address with a password, and those that are secret as a whole
ADDRESSES = ("MLFLOW_TRACKING_URI", "MLFLOW_BACKEND_STORE_URI", "MLFLOW_REGISTRY_URI", "DATABASE")
ADDRESSES += ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD", "DATABRICKS_TOKEN", "AWS_SECRET_ACCESS_KEY")
SHORTEST = 4  # characters; a shorter secret would be found in words, and is only hidden where it stands in an address
# The user of an address, with the password, which may itself hold an @ or a /: after a scheme or // whatever stands before the
# last @, and without them, as in name:password@host, what has a colon
SCHEME = r"(?<![\w+.-])(?:[\w+.-]+:(?=[/\\])|[Hh][Tt][Tt][Pp][Ss]?:)[/\\]*|//+"
USER = re.compile(rf"({SCHEME})[^\s'\"<>]*@|(?<![^\s'\"<>()\[\]{{}}=,;:/@])[^\s'\"<>()\[\]{{}}=,;:/@]+:[^\s'\"<>]*@")
# Fields of an address that say where something is; the value of any other one is hidden
PLAIN_FIELDS = r"host|hostaddr|port|dbname|sslmode|mode|experiment_name|experiment_id|run_id|workflowType|viewStateShareKey"
FIELD = re.compile(rf"([?&;](?!(?:{PLAIN_FIELDS})=)[\w.%-]+=)[^&\s'\"<>]+")
NAMED = re.compile(r"(?i)\b((?:[\w-]*(?:password|passwd|pwd|token|secret|api[_-]?key))\s*=\s*)('[^']*'|[^\s&]+)")
HEADER = re.compile(r"\b(Basic|Bearer)\s+[\w.~+/=-]{4,}")


def redact(text: object, *addresses: str | None) -> str:
    """Give a text without users and passwords of addresses, secret fields, and the secrets of the environment and of `addresses`.

    An address keeps its host, so that it can be told and followed: http://user:password@host:5000 becomes http://host:5000.
    """
    text = str(text)
    for secret in sorted(secrets_of(*addresses), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = FIELD.sub(rf"\g<1>{HIDDEN}", USER.sub(r"\g<1>", text))
    return HEADER.sub(rf"\g<1> {HIDDEN}", NAMED.sub(rf"\g<1>{HIDDEN}", text))


def secrets_of(*addresses: str | None) -> set[str]:
    """Collect the secrets that the environment and `addresses` hold, as they are written in addresses and as they are meant."""
    found = {os.environ.get(name, "") for name in SECRETS}
    for address in (*addresses, *(os.environ.get(name) for name in ADDRESSES)):
        found |= passwords_in(address or "")
        found |= {field.group().partition("=")[2] for field in FIELD.finditer(address or "")}
    found |= {unquote(secret) for secret in found} | {quote(secret, safe="") for secret in found}
    return {secret for secret in found if len(secret) >= SHORTEST}


def passwords_in(address: str) -> set[str]:
    """Collect what may be the password or token of an address, with a scheme or without, however its slashes are written.

    It is what stands before the last @: after each of its colons, as the first may end a scheme, a name or neither; else all of it.
    """
    user = address.strip().rpartition("@")[0]
    if ":" not in user and re.match(r"[.~]|/(?!/)", user):
        return set()  # the path of a file
    starts = [colon.end() for colon in re.finditer(":", user)] or [0]
    return {user[start:].lstrip("/\\") for start in starts}
