"""Tables: what each evaluation gave (readings), Table 1, tokens saved, energy, and their files."""
