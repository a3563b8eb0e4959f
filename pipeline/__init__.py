"""The stages: each is `python -m pipeline.<stage>`, usable without Snakemake. Files are the interface between them."""
