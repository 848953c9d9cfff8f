"""What scripts/bench read is made of."""
