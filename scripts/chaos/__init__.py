"""What the soak is made of: where it runs, what fails there, who dies there, and what people do meanwhile."""
