"""What knows nothing of the experiment: errors, files written whole, checksums, records, seeds, provenance, formats of numbers."""
