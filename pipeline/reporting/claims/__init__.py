"""The paper's sentences, each with what was measured here and a verdict."""
