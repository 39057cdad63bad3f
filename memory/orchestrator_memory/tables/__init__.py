"""The tables of the memory: these classes are the one place where the schema is written.

Times are integer microseconds UTC, JSON is text that SQLite has checked. ``id`` stays inside (it is never used again,
and orders rows by age); ``uid`` is what the outside knows a row by. `schema` makes the database of them.
"""

from __future__ import annotations

from orchestrator_memory.tables.exchange import Context, Delivery, Message
from orchestrator_memory.tables.fields import Table
from orchestrator_memory.tables.knowledge import Event, Link, Memory, Vector
from orchestrator_memory.tables.people import Agent, Meta, Project, Session
from orchestrator_memory.tables.work import Collaboration, Delegation, Reservation, Task

__all__ = [
    "Agent",
    "Collaboration",
    "Context",
    "Delegation",
    "Delivery",
    "Event",
    "Link",
    "Memory",
    "Message",
    "Meta",
    "Project",
    "Reservation",
    "Session",
    "Table",
    "Task",
    "Vector",
]
