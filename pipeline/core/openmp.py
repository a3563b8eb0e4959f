"""Check that OpenMP may compute on as many threads as are declared. Imports no torch."""
# Tested in tests/workflow/test_plain_snakemake.py

import ctypes
import os

from pipeline.core.errors import UserError


def check_threads(threads: int) -> None:
    """Raise UserError where settings give OpenMP fewer threads than it is asked for: oneDNN waits for ever for the others.

    Asks GNU's OpenMP library, PyTorch's own where that is loaded, the system's where it has one; without either nothing is known.
    """
    try:
        openmp = ctypes.CDLL("libgomp.so.1")
    except OSError:
        return
    reasons = {
        "OMP_THREAD_LIMIT": openmp.omp_get_thread_limit() < threads,
        "OMP_DYNAMIC": openmp.omp_get_dynamic(),
        "OMP_MAX_ACTIVE_LEVELS": openmp.omp_get_max_active_levels() < 1,
    }
    for variable in (variable for variable, fewer in reasons.items() if fewer and threads > 1):
        value = os.environ.get(variable)
        raise UserError(f"{variable}={value} allows fewer threads than the {threads} that are declared: unset {variable}")
