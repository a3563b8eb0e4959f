"""Train a run to its end: the loop, its checkpoints, and the processes that share its work."""
