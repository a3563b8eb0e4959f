"""STATIC, retrained: the control, trained further from the pretrained network for as long as the other methods are.

The paper compares networks of 310 + 310 epochs with one of 310; compared with this row, no method has more training.
"""
# Tested in tests/baselines/test_losses.py

from baselines import MethodOptions, static

TITLE = "STATIC, retrained"
PARENTS = ("static",)

Options = MethodOptions
build = static.build
loss = static.loss
