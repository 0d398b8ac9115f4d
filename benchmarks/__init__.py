"""Measured side by side against the alternatives, in one run: `python -m benchmarks --help`."""
