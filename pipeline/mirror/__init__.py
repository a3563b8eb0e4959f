"""MLflow: each run and evaluation mirrored from its record, filled in where a server was away, compared, served."""
