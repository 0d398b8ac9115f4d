"""What the venues and the store exchange: frozen values without I/O."""
