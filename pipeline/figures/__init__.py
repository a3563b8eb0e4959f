"""The figures, one file each, found by its name: TITLE, MOST_EVALUATIONS (None: any number),
draw(campaign, evaluations, path) -> the figure's numbers."""
