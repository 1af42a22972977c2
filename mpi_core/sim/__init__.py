"""A virtual world for the machines: links, latency, one heap of what is to happen. No clock, no thread."""
