"""A stand-in for the venues: seeded data, the venues' limits, and faults on demand."""
