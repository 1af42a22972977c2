"""Pure nouns: what travels between ranks and what is logged."""
