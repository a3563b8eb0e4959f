"""Provide what does not depend on the experiment: errors, atomic files, checksums, records, seeds, provenance, formats."""
