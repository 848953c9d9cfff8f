"""The HTTP API: events in, responses out, whatever platform carries them."""
