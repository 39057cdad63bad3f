"""Foreign code for the tests of the server."""

import math


def undefined() -> dict[str, float]:
    """Return numbers that JSON does not have."""
    return {"nan": math.nan, "inf": math.inf, "one": 1.0}


def secretive() -> int:
    """Fail in a way that nobody foresaw."""
    raise RuntimeError("the password is hunter2")
