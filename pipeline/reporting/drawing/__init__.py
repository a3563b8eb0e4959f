"""Draw figures: one style, shared panels, and look-ups of what a campaign has measured."""
