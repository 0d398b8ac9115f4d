"""The public archive of Binance as the simulator plays it: zipped tables with their checksums."""
