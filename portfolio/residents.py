"""What has to be kept alive: one follower for all portfolios, one matcher for all orders."""

from worker import resident

resident.register("portfolio.follow", task="portfolio.follow", shards=lambda: ["0"])
resident.register("portfolio.match", task="portfolio.match", shards=lambda: ["0"])
