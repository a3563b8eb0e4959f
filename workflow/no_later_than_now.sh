#!/bin/sh
# no_later_than_now.sh FILE ...: a file whose time is still to come gets the present one.
# Where a clock was set back, or machines' clocks differ, Snakemake would take a job's outputs, older than its inputs, for a fault of
# the job, and delete them.
[ $# -eq 0 ] || find "$@" -maxdepth 0 -newermt now -exec touch {} + || true
