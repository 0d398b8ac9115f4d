"""CryptoDataDownload: what it allows, what its answers mean, and how they become model objects."""
