"""Define the error of a figure that lacks its data."""
# Tested in tests/pipeline/reporting/figures/test_probes.py

from pipeline.core.errors import UserError


class MissingData(UserError):
    """A figure lacks its data; the message says which, and how to get them."""
