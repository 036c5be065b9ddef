"""Log lines that say which Celery task wrote them."""

import logging

from celery import current_task


class TaskFormatter(logging.Formatter):
    """Adds `task_tag`: ` [name id]` inside a task, nothing outside one."""

    def format(self, record: logging.LogRecord) -> str:
        task = current_task
        request = getattr(task, "request", None) if task else None
        record.task_tag = f" [{task.name} {request.id[:8]}]" if request is not None and request.id else ""
        return super().format(record)
