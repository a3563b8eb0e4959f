"""Run MLflow's server on PostgreSQL, for the jobs of any number of machines.  make tracking-server

It runs in the foreground, on a private PostgreSQL in --folder, or on the one that --database names (default: $DATABASE).
Ctrl-C or SIGTERM ends both; started again, it continues with the data it has.
"""
# Tested in tests/cluster/test_tracking_server.py

import argparse
import os
from pathlib import Path

from pipeline.core.errors import run_stage
from pipeline.core.paths import RESULTS
from pipeline.mirror.server import serve_until_stopped


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.tracking_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="a name or address of this machine by which jobs reach it")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--folder", type=Path, default=RESULTS / "tracking", help="of PostgreSQL's cluster and of artifacts")
    parser.add_argument("--database", metavar="postgresql://...", default=os.environ.get("DATABASE"), help="another PostgreSQL")
    options = parser.parse_args()
    serve_until_stopped(options.host, options.port, options.folder, options.database or None)


if __name__ == "__main__":
    run_stage(main, "tracking_server")
