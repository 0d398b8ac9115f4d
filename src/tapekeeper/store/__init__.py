"""PostgreSQL: reads and writes, never fetches."""
