"""One decision for every answer of a venue."""
