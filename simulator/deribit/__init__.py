"""Deribit: its methods, as they answer over HTTP."""
