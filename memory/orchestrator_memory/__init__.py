"""State on SQLite that several processes may share; imports nothing of the orchestrator."""

from orchestrator_memory.door import Door, NewerSchema
from orchestrator_memory.lock import FileLock

__all__ = ["Door", "FileLock", "NewerSchema"]
