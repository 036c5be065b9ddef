"""Log lines that say which Celery task wrote them."""

import logging
from contextvars import ContextVar

from celery import current_task

# A resident task's loop hands it on to its asyncio tasks and to the threads it starts with `to_thread`, where Celery,
# which remembers the current task by thread, knows none.
task_tag: ContextVar[str] = ContextVar("task_tag", default="")


class TaskFormatter(logging.Formatter):
    """Adds `task_tag`: ` [name id]` inside a task, nothing outside one."""

    def format(self, record: logging.LogRecord) -> str:
        record.task_tag = task_tag.get() or current_tag()
        return super().format(record)


def current_tag() -> str:
    """The tag of the task that this thread runs, or nothing."""
    request = current_task.request if current_task else None
    return f" [{current_task.name} {request.id[:8]}]" if request is not None and request.id else ""
