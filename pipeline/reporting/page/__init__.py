"""The report, and the numbers in README.md and RESULTS.md."""
