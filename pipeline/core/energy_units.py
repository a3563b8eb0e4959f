"""Name the conventions by which energy is counted, and its units."""
# Tested in tests/pipeline/evaluation/test_energy.py

CONVENTIONS = ("nonzero", "count", "mac")  # for counting energy: pipeline.evaluation.energy defines each
PJ_PER_UJ = 1e6
