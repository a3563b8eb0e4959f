"""The figures, one file each, found by its name: TITLE, draw(campaign, evaluations, path) -> the figure's numbers."""
