"""The pictures of the monitor as lines of text: pure functions of the view, a size and a time."""
