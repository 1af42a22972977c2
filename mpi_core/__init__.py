"""The swarm: protocol, machines, and the two worlds that drive them."""
