"""Deribit: its methods, as they answer over HTTP and over a WebSocket."""
