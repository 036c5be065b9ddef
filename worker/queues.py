"""Which queue a task waits in. Nothing else decides it."""

from kombu import Queue

CONTROL = "control"
RESIDENT = "resident"
POLLING = "polling"
BACKFILL = "backfill"
PORTFOLIO = "portfolio"
SIGNALS = "signals"
NOTIFICATIONS = "notifications"

NAMES = [CONTROL, RESIDENT, POLLING, BACKFILL, PORTFOLIO, SIGNALS, NOTIFICATIONS]
QUEUES = [Queue(name, routing_key=name) for name in NAMES]

# The first pattern that fits a task's name wins. Residents go to `resident` by whoever asks for them (worker/tasks.py);
# they are named here as well, so that one started by hand arrives there too.
ROUTES = {
    pattern: {"queue": queue}
    for pattern, queue in {
        "ingestion.listen": RESIDENT,
        "ingestion.persist": RESIDENT,
        "portfolio.follow": RESIDENT,
        "portfolio.match": RESIDENT,
        "signals.follow": RESIDENT,
        "ingestion.poll_*": POLLING,
        "ingestion.force_*": POLLING,
        "signals.poll_*": POLLING,
        "signals.notify": NOTIFICATIONS,
        "signals.send_digests": NOTIFICATIONS,
        "signals.deliver*": NOTIFICATIONS,
        "ingestion.*": BACKFILL,
        "streaming.*": BACKFILL,
        "portfolio.*": PORTFOLIO,
        "signals.*": SIGNALS,
        "worker.*": CONTROL,
        "celery.*": CONTROL,
    }.items()
}
