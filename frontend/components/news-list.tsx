import { useState } from "react";
import { age, moment, signed } from "../format";
import { useServerNow } from "../hooks/clock";
import { useNews } from "../hooks/news";
import { type Article, isLink, type Sentiment } from "../news";
import { InstrumentField } from "./signal-list";
import { Empty, Failure, Skeleton } from "./states";

/** News as it comes in, and how it sounds. */
export function NewsCard() {
  const [symbol, setSymbol] = useState("");
  const news = useNews(symbol);
  return (
    <section className="card news-card" aria-label="News">
      <div className="card-head news-head">
        <h2>News</h2>
        <InstrumentField chosen={symbol} choose={setSymbol} />
      </div>
      <Stories news={news} symbol={symbol} />
      <p className="card-foot">
        <span>How it sounds is a heuristic of words: it knows neither irony nor whose loss it is.</span>
      </p>
    </section>
  );
}

function Stories({
  news: { page, list, next, more, older },
  symbol,
}: {
  news: ReturnType<typeof useNews>;
  symbol: string;
}) {
  const now = useServerNow(10_000);
  if (list.length === 0 && page.data === undefined) {
    if (page.error === undefined) return <Skeleton rows={6} className="tall" />;
    return <Failure what="News could not be loaded" error={page.error} retry={page.reload} />;
  }
  if (list.length === 0) {
    return (
      <Empty title={symbol === "" ? "No news yet" : `No news about ${symbol}`}>It appears here as it comes in.</Empty>
    );
  }
  return (
    <>
      <ul className="stories">
        {list.map((article) => (
          <Story key={article.id} article={article} now={now} />
        ))}
      </ul>
      {next !== null && (
        <div className="list-more">
          <button type="button" className="button" disabled={older.busy} onClick={more}>
            {older.busy ? "Loading …" : "Older news"}
          </button>
          {older.error !== null && (
            <p className="field-error" role="alert">
              {older.error}
            </p>
          )}
        </div>
      )}
    </>
  );
}

const DAY_MS = 86_400_000;

function Story({ article, now }: { article: Article; now: number }) {
  const { headline, summary, source, url, published_at, symbols, sentiment } = article;
  return (
    <li className="story" data-story={article.id}>
      <p className="story-headline">
        {isLink(url) ? (
          <a href={url} target="_blank" rel="noopener noreferrer">
            {headline}
          </a>
        ) : (
          headline
        )}
      </p>
      {summary !== "" && summary !== headline && <p className="story-summary muted">{summary}</p>}
      <p className="story-meta">
        <SentimentBadge sentiment={sentiment} />
        <span className="muted">
          {source} · <time dateTime={published_at}>{published(published_at, now)}</time>
        </span>
        {symbols.map((symbol) => (
          <a key={symbol} className="story-symbol" href={`/?symbol=${encodeURIComponent(symbol)}`}>
            {symbol}
          </a>
        ))}
      </p>
    </li>
  );
}

function published(iso: string, now: number): string {
  const ms = now - Date.parse(iso);
  if (ms >= DAY_MS) return moment(iso);
  const text = age(ms);
  return text === "now" ? "just now" : `${text} ago`;
}

const TONES: Record<Sentiment["label"], string> = { positive: "good", neutral: "", negative: "bad" };

export function SentimentBadge({ sentiment: { score, label } }: { sentiment: Sentiment }) {
  return (
    <span className={`badge ${TONES[label]}`}>
      {label} {signed(score)}
    </span>
  );
}
