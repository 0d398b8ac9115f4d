"""Deribit over a WebSocket: connections, subscriptions, and the streams behind them."""
