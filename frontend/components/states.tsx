/** What a card shows while it has nothing to show. */

import type { ReactNode } from "react";
import { sentenceOf } from "../http";

export function Skeleton({ rows, className = "" }: { rows: number; className?: string }) {
  return (
    <div className={`skeletons ${className}`} role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all alike
        <span key={index} className="skeleton" />
      ))}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="notice">
      <p className="notice-title">{title}</p>
      {children !== undefined && <p className="notice-text">{children}</p>}
    </div>
  );
}

export function Failure({ what, error, retry }: { what: string; error: Error; retry: () => void }) {
  return (
    <div className="notice" role="alert">
      <p className="notice-title">{what}</p>
      <p className="notice-text">{sentenceOf(error)}</p>
      <button type="button" className="button" onClick={retry}>
        Try again
      </button>
    </div>
  );
}
