"""Repair: fetches what is missing again, and proves the result."""
