"""The control: STATIC, trained on from the pretrained network for as long as the other methods are.

The paper compares networks of 310 + 310 epochs with one of 310; against this row, no method has more training.
"""

from baselines import MethodOptions, static

TITLE = "STATIC, retrained"
PARENTS = ("static",)

Options = MethodOptions
build = static.build
loss = static.loss
