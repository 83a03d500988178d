"""A real-time chat server that never loses, doubles or reorders a message."""

__version__ = "0.1.0"
