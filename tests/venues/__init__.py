"""Venues on loopback: one file each beside `server.py`, which has what they share. They share no code with ingestion/.

with BinanceVenue() as venue:
    venue.live(per_s=200)              # made-up trades and books, stamped now, with consecutive ids
    … connect something to venue.ws_url …
    venue.drop(10); venue.stall(); venue.resume(); venue.close(1006)
    venue.schedule(faults.seeded(7, …))    # or many faults, each at its frame
    assert not venue.violations        # of the venue's limits, by the client
    venue.sent                         # every trade that left, by (symbol, id): what must be on disk

Each reads real subscriptions, answers as its venue does, sends only what was subscribed, and enforces the venue's
limits. REST lies beside it on the same port. `python -m tests.venues binance --port 9443 --live 200` runs one as a
process; every order is then also `GET /control/<order>?<argument>=<value>`, and `GET /control/report` tells the score.
"""
