"""The figures, one file each, found by its name: TITLE, MOST_EVALUATIONS (None: any number),
draw(campaign, evaluations, path) -> the figure's numbers.
"""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito's, told apart by all eyes
