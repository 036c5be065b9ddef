"""News: what it says of instruments."""

import datetime as dt
from collections.abc import Collection
from typing import Final

import msgspec
from django.db import connection

# An article counts half as much when so much of the window has passed since it was published.
HALF_LIFE: Final = 0.25


class Sentiment(msgspec.Struct, frozen=True):
    """What the news says of an instrument. score: -1 to 1; count: of the articles that it is the weighted mean of."""

    score: float
    count: int


def sentiment(instrument_ids: Collection[int], now: dt.datetime, hours: float) -> dict[int, Sentiment]:
    """Of each instrument that was in the news in the `hours` before `now`; the others are left out.

    The mean of its articles' scores, each weighted by the confidence of its link and by 2^(-age / (hours / 4)).
    An article counts from when it was received: asked of the past, this says what could be known then. Made-up
    (simulated) articles count only where there are no others.
    """
    sql = """
        WITH told AS (
            SELECT link.instrument_id, article.provider = 'simulated' AS made_up, article.sentiment_score AS score,
                link.confidence * power(0.5, extract(epoch FROM %(now)s - article.published_at) / %(half_life_s)s)
                    AS weight
            FROM signals_articleinstrument link JOIN signals_newsarticle article ON article.id = link.article_id
            WHERE link.instrument_id = ANY(%(ids)s) AND link.confidence > 0
                AND article.published_at > %(since)s AND article.published_at <= %(now)s
                AND article.received_at <= %(now)s
        )
        SELECT DISTINCT ON (instrument_id) instrument_id, sum(weight * score) / sum(weight), count(*)
        FROM told GROUP BY instrument_id, made_up ORDER BY instrument_id, made_up
    """
    window = dt.timedelta(hours=hours)
    values = {
        "now": now,
        "since": now - window,
        "half_life_s": window.total_seconds() * HALF_LIFE,
        "ids": list(instrument_ids),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return {instrument: Sentiment(float(score), count) for instrument, score, count in cursor.fetchall()}
