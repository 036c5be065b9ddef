/** The way to more of a list. */
export function Older({ more, older }: { more: boolean; older: () => void }) {
  if (!more) return null;
  return (
    <div className="card-foot older">
      <button type="button" className="link" onClick={older}>
        Show older ones
      </button>
    </div>
  );
}
