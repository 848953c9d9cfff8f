"""Videos: inspected, thumbnailed, brought into the bucket."""
