"""When a cron expression is due in a time zone.

Five fields: minute, hour, day of the month, month, day of the week. Where clocks change, what is due at a time that
does not exist comes right after the gap, and what is due at a time that comes twice is due the first time; what is due
every few minutes or every hour is due in real time (as in Debian's cron).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from mcp_orchestrator.errors import InvalidInput, suggestion

__all__ = ["between", "following", "zone_named"]

SECOND = 1_000_000
HOUR = 3600 * SECOND
FIELDS = 5
EXAMPLE = 'Write minute, hour, day of month, month, day of week: "0 3 * * MON-FRI" is 03:00 on working days.'


def zone_named(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        InvalidInput: there is none of that name.

    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = suggestion(name, available_timezones()) or "Give one such as Europe/Berlin, or UTC."
        raise InvalidInput("zone", f"there is no time zone {name!r}.", then=near) from error


def following(cron: str, zone: str, moment: int) -> int:
    """Return the first time after ``moment`` at which an expression is due, both in microseconds since the epoch.

    Raises:
        InvalidInput: the expression or the zone cannot be read, or it is never due.

    """
    return next(_times(cron, zone, moment))


def between(cron: str, zone: str, first: int, last: int, most: int) -> list[int]:
    """Return the last ``most`` due times from ``first`` (a due time) to ``last``, in order."""
    window = HOUR
    while True:
        begin = max(first, last - window)
        found: deque[int] = deque(maxlen=most)
        for time in _times(cron, zone, begin - 1):
            if time > last:
                break
            found.append(time)
        if len(found) == most or begin == first:
            return list(found)
        window *= 24


def _times(cron: str, zone: str, moment: int) -> Iterator[int]:
    """Yield the due times after ``moment``."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - only what has schedules needs it

    place = zone_named(zone)
    if len(cron.split()) != FIELDS:
        raise InvalidInput("cron", f"{cron!r} has not five fields.", then=EXAMPLE)
    try:
        found = CronSim(cron, datetime.fromtimestamp(moment // SECOND, place))
    except CronSimError as error:
        raise InvalidInput("cron", f"{cron!r}: {str(error).lower()}.", then=EXAMPLE) from error
    last = moment
    for time in found:
        due = int(time.astimezone(UTC).timestamp()) * SECOND
        if due > last:  # the second of two equal hours of the clock leads back to the first
            last = due
            yield due
    raise InvalidInput("cron", f"{cron!r} is never due.", then=EXAMPLE)
