"""Say that a figure lacks its data."""

from pipeline.core.errors import UserError


class MissingData(UserError):
    """A figure lacks what it shows; says what, and how to get it."""
