"""CryptoDataDownload as the simulator plays it: daily candles of Deribit's options."""
