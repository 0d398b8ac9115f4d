"""tapekeeper keeps the tape: market data, and an honest account of what is missing and why."""
