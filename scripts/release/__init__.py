"""What builds, describes and deploys the functions."""
