"""Make the report, and fill in the numbers in README.md and RESULTS.md."""
