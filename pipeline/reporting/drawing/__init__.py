"""What figures are drawn with: one style, shared panels, and what a campaign has measured."""
