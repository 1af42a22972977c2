"""What the swarm is raced against: one process a host, each verifies and writes what it gets."""
