#!/bin/sh
# One target of the graph, as make and DVC ask for it:  workflow/run.sh TARGET [snakemake's options]
# It is `snakemake --cores all`, with PROFILE where that is set: slurm (profiles/slurm), or the folder of one of your own.
cd "$(dirname "$0")/.." || exit
target=$1
shift
case $PROFILE in
  "") ;;
  */*)
    [ -d "$PROFILE" ] || { echo "run.sh: there is no profile $PROFILE: PROFILE is slurm, or the folder of one of your own" >&2; exit 2; }
    set -- --profile "$PROFILE" "$@"
    ;;
  *) set -- --workflow-profile "$PROFILE" "$@" ;;
esac
PATH="$PWD/.venv/bin:$PATH" exec snakemake --cores all "$@" -- "$target"
