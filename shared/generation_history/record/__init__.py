"""What is kept of every generation, written and read under its owner."""
