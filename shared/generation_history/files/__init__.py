"""Temporary files, and the processes and faults of the machine that has them."""
