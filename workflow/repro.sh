#!/bin/sh
# What the stages of dvc.yaml do for the scale that params.yaml names:  workflow/repro.sh reproduce|bench
cd "$(dirname "$0")/.." || exit
PATH="$PWD/.venv/bin:$PATH"
exec python -m pipeline.versioned "$@"
