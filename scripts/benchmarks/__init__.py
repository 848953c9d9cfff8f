"""What scripts/bench measures; every figure is a ratio against a baseline measured in the same run."""
