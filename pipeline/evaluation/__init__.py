"""Measure a network in one pass over images: what it gets right and what it costs."""
