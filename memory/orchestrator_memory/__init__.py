"""State on SQLite that several processes may share; imports nothing of the orchestrator."""

from orchestrator_memory.door import Door, NewerSchema

__all__ = ["Door", "NewerSchema"]
