"""A vision transformer without spikes: its network is `models.vit.network`, whose names can be imported from here."""

import importlib


def __getattr__(name: str):
    return getattr(importlib.import_module("models.vit.network"), name)
