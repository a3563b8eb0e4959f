"""The training loop, and how it survives."""
