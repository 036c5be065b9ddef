"""What has to be kept alive: one follower for all alerts."""

from worker import resident

resident.register("signals.follow", task="signals.follow", shards=lambda: ["0"])
