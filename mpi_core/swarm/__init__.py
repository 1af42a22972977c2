"""Pure verbs: machines that take a message and the time, and return effects."""
