"""The live collector: streams quotes and trades of a venue into PostgreSQL, and accounts for every hole."""
