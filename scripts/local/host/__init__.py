"""The functions' host: deployed functions as the platform runs them, on loopback."""
