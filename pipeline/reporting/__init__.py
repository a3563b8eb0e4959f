"""From finished runs to tables, figures, claims and the page, in this order: each imports from those before it only."""
