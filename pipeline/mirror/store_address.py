"""Name MLflow's store: a server or database that MLFLOW_TRACKING_URI names, else a file of this checkout."""
# Tested in tests/pipeline/mirror/test_store_failures.py

import os

from pipeline.core.paths import RESULTS

STORE = RESULTS / "mlflow.db"
EMPTY = "the answer holds no experiment"  # the error of a server that answers as if all were well, but is no MLflow


def tracking_address() -> str:
    """Give the address that MLFLOW_TRACKING_URI names, with its password; an empty string where the store is STORE."""
    return os.environ.get("MLFLOW_TRACKING_URI", "").strip()


def is_server() -> bool:
    """Check that the store is reached over HTTP."""
    return tracking_address().startswith(("http://", "https://"))
