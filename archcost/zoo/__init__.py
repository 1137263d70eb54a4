"""Architectures, one paper a file; ``catalogue`` finds them by name."""
