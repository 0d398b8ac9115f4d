"""A folder per venue; each yields model objects and never writes."""
