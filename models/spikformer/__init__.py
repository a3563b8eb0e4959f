"""Spikformer: its network is `models.spikformer.network`, whose names can be imported from here."""

import importlib


def __getattr__(name: str):
    return getattr(importlib.import_module("models.spikformer.network"), name)
