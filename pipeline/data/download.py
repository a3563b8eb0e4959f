"""Download an official archive, checked by its sha256."""

from pathlib import Path

from pipeline.core.errors import UserError

DOWNLOADS = Path("data/downloads")
ATTEMPTS = 4  # of a download


def download(address: str, sha: str) -> Path:
    """Download a file, check its sha256 and keep it under data/downloads. Raises UserError where that fails."""
    import pooch

    if not address.startswith("https://"):
        raise UserError(f"{address} is no https:// address: nothing is downloaded from it")
    name = address.rsplit("/", 1)[-1]
    fetcher = pooch.create(
        path=DOWNLOADS, base_url="", registry={name: f"sha256:{sha}"}, urls={name: address}, retry_if_failed=ATTEMPTS - 1
    )
    try:
        return Path(fetcher.fetch(name, progressbar=False))
    except (OSError, ValueError) as error:
        raise UserError(
            f"could not download {address}: {error}; check the network, or name a folder that holds {name} "
            "(--config data=FOLDER, or the environment variable ATSNN_DATA)"
        ) from error
