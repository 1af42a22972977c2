"""The live monitor: all that knows of terminals, Textual and Rich."""
