"""The fold of the event stream, and what can be said of it. Pure."""
