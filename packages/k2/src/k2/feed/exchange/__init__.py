"""The local exchange: the wire of the real one, from a capture or a seed, with mischief on demand."""
