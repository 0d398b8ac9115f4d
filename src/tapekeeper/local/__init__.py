"""The whole product on one machine: embedded PostgreSQL, processes, the demo."""
