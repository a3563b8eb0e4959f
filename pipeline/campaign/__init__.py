"""What was declared: runs, evaluations and figures, their ids, where their files are, and what has been recorded of them."""
