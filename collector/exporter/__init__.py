"""The exporter: what stands in the database, told to Prometheus by a process of its own."""
