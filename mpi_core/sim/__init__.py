"""A virtual world for the machines: a network of links and one heap of what is to happen. No clock, no thread."""
