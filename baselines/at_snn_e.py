"""AT-SNN^e: AT-SNN's networks with DT-SNN's exit by entropy (section 4.2 of the paper); nothing is trained."""
# Tested in tests/baselines/test_losses.py

from baselines import at_snn, dt_snn

TITLE = "AT-SNN^e"
PARENTS = ("at_snn",)
Options = at_snn.Options
confidence = dt_snn.confidence
