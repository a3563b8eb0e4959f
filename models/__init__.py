"""The networks: spiking transformers and what AT-SNN adds to them. Code only; weights are results of a run."""
