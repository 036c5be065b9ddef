"""What words mean in financial news. Our own list, on VADER's scale: -4 (worst) to 4 (best). Pure.

Judged by the reader who holds the thing that the news is about: a takeover bid is good, a downgrade is bad, whatever
the world thinks of either. Words whose everyday sense misleads here are NEUTRAL. PHRASES are matched first, whole.
"""

from typing import Final

TERMS: Final = {
    # results and expectations
    "beat": 1.8, "beats": 2.0, "beating": 1.8, "tops": 1.6, "topped": 1.6, "exceeds": 1.8, "exceeded": 1.8,
    "outperform": 2.0, "outperforms": 2.0, "outperformed": 2.0, "outpaces": 1.6, "record": 1.2, "records": 1.2,
    "miss": -1.8, "misses": -2.0, "missed": -1.8, "disappoints": -2.0, "disappointing": -2.0, "shortfall": -2.0,
    "underperform": -2.0, "underperforms": -2.0, "underperformed": -2.0, "lags": -1.4, "lagging": -1.4,
    "profit": 1.2, "profits": 1.2, "profitable": 1.8, "profitability": 1.4, "loss": -1.6, "losses": -1.6,
    "unprofitable": -1.8, "writedown": -2.2, "writedowns": -2.2, "write-down": -2.2, "impairment": -2.0,
    "restates": -1.8, "restatement": -2.0,
    # ratings and advice
    "upgrade": 2.2, "upgrades": 2.2, "upgraded": 2.2, "overweight": 1.6, "bullish": 2.2, "buy-rated": 1.6,
    "downgrade": -2.2, "downgrades": -2.2, "downgraded": -2.2, "underweight": -1.6, "bearish": -2.2, "overvalued": -1.6,
    "undervalued": 1.4, "junk": -2.0,
    # prices
    "surge": 2.0, "surges": 2.0, "surged": 2.0, "surging": 2.0, "soar": 2.4, "soars": 2.4, "soared": 2.4,
    "soaring": 2.4, "jump": 1.6, "jumps": 1.6, "jumped": 1.6, "rally": 1.8, "rallies": 1.8, "rallied": 1.8,
    "gain": 1.4, "gains": 1.4, "gained": 1.4, "rise": 1.2, "rises": 1.2, "rose": 1.2, "rising": 1.0, "climb": 1.2,
    "climbs": 1.2, "climbed": 1.2, "rebound": 1.6, "rebounds": 1.6, "rebounded": 1.6, "recovers": 1.6, "recovery": 1.4,
    "higher": 1.0, "breakout": 1.4, "skyrockets": 2.6, "skyrocket": 2.6, "spikes": 0.8,
    "plunge": -2.4, "plunges": -2.4, "plunged": -2.4, "plummet": -2.6, "plummets": -2.6, "plummeted": -2.6,
    "tumble": -2.0, "tumbles": -2.0, "tumbled": -2.0, "slump": -2.0, "slumps": -2.0, "slumped": -2.0, "sink": -1.8,
    "sinks": -1.8, "sank": -1.8, "fall": -1.4, "falls": -1.4, "fell": -1.4, "falling": -1.2, "drop": -1.4,
    "drops": -1.4, "dropped": -1.4, "slide": -1.4, "slides": -1.4, "slid": -1.4, "slip": -1.0, "slips": -1.0,
    "slipped": -1.0, "dip": -0.8, "dips": -0.8, "decline": -1.4, "declines": -1.4, "declined": -1.4, "crash": -3.0,
    "crashes": -3.0, "crashed": -3.0, "collapse": -3.0, "collapses": -3.0, "collapsed": -3.0, "selloff": -2.0,
    "sell-off": -2.0, "rout": -2.2, "lower": -1.0, "tanks": -2.4, "tanked": -2.4, "nosedive": -2.6, "bloodbath": -3.0,
    "liquidations": -1.6, "liquidated": -1.8, "correction": -1.2, "volatile": -0.8, "volatility": -0.6,
    # business
    "growth": 1.4, "grow": 1.2, "grows": 1.2, "grew": 1.2, "expands": 1.2, "expansion": 1.2, "boost": 1.6,
    "boosts": 1.6, "boosted": 1.6, "buyback": 1.6, "buybacks": 1.6, "hikes": 0.2, "dividend": 0.8, "acquires": 0.8,
    "acquisition": 0.6, "takeover": 1.0, "partnership": 1.2, "approval": 1.8, "approves": 1.6, "approved": 1.6,
    "breakthrough": 2.2, "launches": 0.8, "wins": 1.8, "adoption": 1.2, "inflows": 1.4, "inflow": 1.4,
    "layoffs": -1.8, "layoff": -1.8, "lays": -0.4, "recall": -1.8, "recalls": -1.8, "delays": -1.2, "delayed": -1.2,
    "delay": -1.2, "halts": -1.4, "halted": -1.4, "suspends": -1.6, "suspended": -1.6, "shutdown": -1.4, "cuts": -0.8,
    "slashes": -1.6, "outflows": -1.4, "outflow": -1.4, "shortage": -1.4, "shortages": -1.4, "glut": -1.2,
    "slowdown": -1.6, "slowing": -1.2, "recession": -2.4, "stagflation": -2.2, "inflation": -0.8, "headwinds": -1.4,
    "headwind": -1.4, "tailwind": 1.4, "tailwinds": 1.4, "weak": -1.4, "weakness": -1.4, "strong": 1.6,
    "stronger": 1.6, "robust": 1.8, "upbeat": 1.8, "resilient": 1.4, "sluggish": -1.4, "soft": -0.8,
    # law, credit and worse
    "bankruptcy": -3.4, "bankrupt": -3.4, "insolvent": -3.4, "insolvency": -3.4, "default": -2.6, "defaults": -2.6,
    "defaulted": -2.6, "delisted": -2.6, "delisting": -2.4, "lawsuit": -1.6, "lawsuits": -1.6, "sues": -1.6,
    "sued": -1.8, "probe": -1.6, "probes": -1.6, "investigation": -1.6, "investigates": -1.6, "subpoena": -1.8,
    "fined": -2.0, "fine": -1.2, "penalty": -1.8, "fraud": -3.2, "fraudulent": -3.2, "indicted": -3.0, "charges": -1.4,
    "charged": -1.6, "antitrust": -1.2, "sanctions": -1.4, "tariff": -1.0, "tariffs": -1.0, "hack": -2.6,
    "hacked": -2.8, "hackers": -2.2, "exploit": -2.2, "exploited": -2.2, "breach": -2.2, "stolen": -2.6, "rug": -1.6,
    "scam": -3.0, "ponzi": -3.2, "ban": -1.8, "bans": -1.8, "banned": -2.0, "warns": -1.8, "warned": -1.6,
    "warning": -1.6, "resigns": -1.2, "steps": 0.0, "strike": -1.2, "crisis": -2.4, "bailout": -1.2, "contagion": -2.2,
    "settles": 0.6, "acquitted": 2.0, "cleared": 1.4,
}  # fmt: skip

PHRASES: Final = {
    "not as bad as feared": 1.8, "not as bad as expected": 1.8, "less bad than feared": 1.6, "better than feared": 1.8,
    "better than expected": 2.2, "better-than-expected": 2.2, "above expectations": 2.0, "beats expectations": 2.2,
    "beat expectations": 2.2, "tops estimates": 2.0, "ahead of expectations": 1.8, "above estimates": 1.8,
    "worse than expected": -2.2, "worse-than-expected": -2.2, "worse than feared": -2.4, "below expectations": -2.0,
    "below estimates": -2.0, "short of expectations": -2.0, "short of estimates": -2.0, "falls short": -2.0,
    "fell short": -2.0, "fails to impress": -1.8, "weaker than expected": -2.0, "weaker-than-expected": -2.0,
    "stronger than expected": 2.0, "stronger-than-expected": 2.0, "lower than expected": -1.4,
    "higher than expected": 0.6, "narrower loss": 1.4, "narrows loss": 1.4, "narrowed its loss": 1.4,
    "smaller loss": 1.4, "wider loss": -1.8, "widens loss": -1.8, "swings to profit": 2.2, "swings to loss": -2.2,
    "swung to a loss": -2.2, "returns to profit": 2.0, "profit warning": -2.4, "going concern": -2.6,
    "chapter 11": -3.2, "smaller than feared": 1.4, "smaller than expected": 0.6, "not pay": -1.8,
    "not impress": -2.4,
    "raises guidance": 2.2, "raised guidance": 2.2, "lifts guidance": 2.2, "raises outlook": 2.0, "lifts outlook": 2.0,
    "raises forecast": 2.0, "lifts forecast": 2.0, "cuts guidance": -2.4, "cut guidance": -2.2, "lowers guidance": -2.2,
    "cuts outlook": -2.2, "lowers outlook": -2.0, "cuts forecast": -2.0, "withdraws guidance": -2.2,
    "raises price target": 1.8, "lifts price target": 1.8, "cuts price target": -1.8, "lowers price target": -1.8,
    "raises dividend": 1.8, "hikes dividend": 1.8, "cuts dividend": -2.2, "suspends dividend": -2.4,
    "cuts jobs": -1.6, "job cuts": -1.6, "cuts costs": 0.6, "all-time high": 2.0, "record high": 2.0,
    "52-week high": 1.4, "new high": 1.4, "all-time low": -2.0, "record low": -2.0, "52-week low": -1.4,
    "new low": -1.4,
    "bear market": -2.0, "bull market": 1.8, "death cross": -1.6, "golden cross": 1.6, "short squeeze": 0.8,
    "short seller": -1.4, "short-seller": -1.4, "class action": -1.6, "data breach": -2.4, "under pressure": -1.4,
    "sell rating": -1.6, "buy rating": 1.6, "rate cut": 0.8, "rate cuts": 0.8, "rate hike": -0.8, "rate hikes": -0.8,
    "steps down": -0.8, "rug pull": -3.0, "wiped out": -2.4, "wipes out": -2.4, "erases gains": -1.6,
    "pares losses": 1.0, "trims losses": 1.0, "pares gains": -1.0, "snaps losing streak": 1.4, "losing streak": -1.4,
    "winning streak": 1.4, "avoids bankruptcy": 2.0, "averts default": 1.8, "avoids default": 1.8,
    "no bankruptcy": 1.0, "dismisses lawsuit": 1.8, "drops lawsuit": 1.6, "lawsuit dismissed": 1.8, "drops probe": 1.6,
    "no evidence of fraud": 1.6, "losses narrow": 1.4, "losses widen": -1.8, "loses ground": -1.4,
    "gains ground": 1.2, "down sharply": -1.8, "up sharply": 1.8,
}  # fmt: skip

# Good or bad elsewhere, neither here: a share, a trust, crude oil, gross margin, Great Britain.
NEUTRAL: Final = (
    "share", "shares", "shared", "interest", "trust", "crude", "gross", "great", "fair", "value", "values", "yield",
    "play", "players", "novel", "united", "energy", "credit", "debt", "number", "natural", "like", "well", "bank",
    "vice", "cancer", "bull", "bear", "alert", "paid", "pay", "free", "fed", "tank", "commodity", "liability", "kind",
    "please", "matter", "matters", "safe", "block", "smart", "security", "securities", "share-based", "agreement",
    "mine", "apple", "growing", "stake", "execution", "battle", "war-chest", "exclusive", "gold", "treasure",
)  # fmt: skip
