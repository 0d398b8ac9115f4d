"""The whole stack on the simulator's data: `python -m tests.observability.live` starts it for somebody to look at."""
