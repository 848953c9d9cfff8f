"""Importing: the record of an older installation, moved into this one (scripts/import-history)."""
