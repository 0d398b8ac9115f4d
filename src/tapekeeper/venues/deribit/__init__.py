"""Deribit: https://docs.deribit.com."""
