"""Writes the dashboards of Grafana: one module per dashboard, and the few helpers that they are declared with."""
