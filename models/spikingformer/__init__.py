"""Spikingformer: its network is `models.spikingformer.network`, whose names can be imported from here."""

import importlib


def __getattr__(name: str):
    return getattr(importlib.import_module("models.spikingformer.network"), name)
