"""Foreign code for the tests of executors: capabilities that tell how far they are."""

from pathlib import Path

from mcp_orchestrator.component import Context


def count(ctx: Context, to: int) -> int:
    """Count, and tell each number."""
    ctx.report(None, "begins")
    for number in range(1, to + 1):
        ctx.report(number / to, f"{number} of {to}")
    return to


def for_ever(ctx: Context, folder: str) -> int:
    """Tell of progress for ever, and write down how that ended."""
    (Path(folder) / "begun").touch()
    number = 0
    try:
        while True:
            number += 1
            ctx.report(None, str(number))
    except BaseException as error:
        (Path(folder) / "stopped").write_text(type(error).__name__)
        raise
