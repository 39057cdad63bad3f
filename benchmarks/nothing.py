"""A step that does next to nothing, so that what is measured is what carries it."""


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b
