#!/bin/sh
# One target of the graph, as make and DVC ask for it:  workflow/run.sh TARGET [snakemake's options]
# Runs it on this machine, or with PROFILE=slurm on a cluster: profiles are in profiles, or a path names another one.
# Clears the lock that a killed Snakemake leaves, so only one runs here at a time: its own lock lasts as long as Snakemake does.
cd "$(dirname "$0")/.." || exit
target=$1
shift
PATH="$PWD/.venv/bin:$PATH"
profile=${PROFILE:-default}
case $profile in */*) ;; *) profile=profiles/$profile ;; esac
[ -e "$profile/config.yaml" ] || { echo "run.sh: there is no profile $profile/config.yaml: PROFILE is default, slurm or a folder" >&2; exit 2; }
mkdir -p .snakemake
exec 9>.snakemake/run.lock
flock --nonblock 9 || { echo "run.sh: the graph is already being run here: waits for it to end" >&2; flock 9; }
locked=$(find results data -maxdepth 2 -type d ! -writable 2>/dev/null | head -n 1)
[ -z "$locked" ] || { echo "run.sh: $locked can't be written: change its permissions, or mount it for writing" >&2; exit 2; }
python -m pipeline.published || exit
rm -rf .snakemake/locks
if [ "${profile##*/}" = default ]; then
  gpus=$(python -c 'from pipeline.evaluation.gpu_locks import allowed; print(len(allowed()))') || exit  # a job each; --resources gpu=N: fewer
  [ "$gpus" -eq 0 ] || set -- --resources "gpu=$gpus" "$@"
fi
exec snakemake --cores all --workflow-profile "$profile" "$@" -- "$target"
