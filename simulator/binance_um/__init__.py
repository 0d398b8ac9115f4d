"""Binance USD-M futures as the simulator plays them."""
