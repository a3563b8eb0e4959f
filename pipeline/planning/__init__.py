"""Estimate how long a campaign takes, measure how fast this machine is, and check that a training is on course."""
