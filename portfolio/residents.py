"""What has to be kept alive: one follower for all portfolios."""

from worker import resident

resident.register("portfolio.follow", task="portfolio.follow", shards=lambda: ["0"])
