"""Make the tables and their files: a row per evaluation, timestep and exit (readings.csv), Table 1, tokens saved, energy."""
