"""All tasks, by what they are about."""

from ..task import Task
from . import judging, promoting, remembering, running, talking, training, using

__all__ = ["TASKS"]

TASKS: dict[str, Task] = {
    one.id: one for part in (training, judging, using, promoting, running, remembering, talking) for one in part.TASKS
}
