"""Real parts for tests to run against: a PostgreSQL server, the venue simulator."""
