"""Judge the paper's sentences: each with the number measured here and a verdict."""
