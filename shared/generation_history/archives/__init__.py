"""Whole generations as zips."""
