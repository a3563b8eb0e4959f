"""Read a campaign's declaration: its runs, evaluations and figures, their ids, the paths of their files, and their records."""
