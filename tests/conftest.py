"""Shapes in the signatures of models/ are checked here, by jaxtyping and beartype, and nowhere else."""

import sys
from pathlib import Path

import torch
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
install_import_hook("models", "beartype.beartype")
torch.set_num_threads(1)  # tests run side by side, and golden numbers belong to one thread
