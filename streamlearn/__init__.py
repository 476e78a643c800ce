"""streamlearn: learn from a stream, and ask for the labels that would teach most."""

__version__ = "0.1.0"
