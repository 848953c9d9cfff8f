"""What workers and pollers do, and the queue that they do it by."""
