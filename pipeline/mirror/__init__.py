"""Mirror runs and evaluations from their records into MLflow: live, later where a server was away; compare and serve them."""
