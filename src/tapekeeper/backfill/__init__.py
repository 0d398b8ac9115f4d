"""Joins a venue and the store: plan, then run."""
