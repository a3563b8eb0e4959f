"""Take passwords and tokens out of text that comes from outside, before it is printed or recorded."""

import os
import re
from urllib.parse import quote, unquote

HIDDEN = "***"
# Variables that may hold an address with a password, and those that are secret as a whole
ADDRESSES = ("MLFLOW_TRACKING_URI", "MLFLOW_BACKEND_STORE_URI", "MLFLOW_REGISTRY_URI", "DATABASE")
SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD", "DATABRICKS_TOKEN", "AWS_SECRET_ACCESS_KEY")
SHORTEST = 4  # characters; a shorter secret would be found in words, and is only hidden where it stands in an address
USER = re.compile(r"(?<=://)[^\s'\"<>]*@")  # of an address, with its password, which may itself hold an @ or a /
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
    text = FIELD.sub(rf"\g<1>{HIDDEN}", USER.sub("", text))
    return HEADER.sub(rf"\g<1> {HIDDEN}", NAMED.sub(rf"\g<1>{HIDDEN}", text))


def secrets_of(*addresses: str | None) -> set[str]:
    """Collect the secrets that the environment and `addresses` hold, as they are written in addresses and as they are meant."""
    found = {os.environ.get(name, "") for name in SECRETS}
    for address in (*addresses, *(os.environ.get(name) for name in ADDRESSES)):
        user, at, _ = (address or "").partition("://")[2].rpartition("@")
        found.add(user.partition(":")[2] or user if at else "")
        found |= {field.group().partition("=")[2] for field in FIELD.finditer(address or "")}
    found |= {unquote(secret) for secret in found} | {quote(secret, safe="") for secret in found}
    return {secret for secret in found if len(secret) >= SHORTEST}
