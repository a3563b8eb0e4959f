"""Make tables, figures, claims and the page from finished runs, in this order: each imports from those before it only."""
