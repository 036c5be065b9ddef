/** Line icons, drawn on a 16-pixel grid; they are decoration, the control around them carries the name. */

const PATHS = {
  bell: "M4 11V7a4 4 0 0 1 8 0v4l1 1.5H3L4 11Zm2.5 3a1.6 1.6 0 0 0 3 0",
  sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6ZM8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9",
  moon: "M13.2 9.6A5.6 5.6 0 0 1 6.4 2.8a5.6 5.6 0 1 0 6.8 6.8Z",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9Zm3.3 7.8 3.2 3.2",
  close: "m4 4 8 8M12 4l-8 8",
  list: "M2.5 4h11M2.5 8h11M2.5 12h7",
  chart: "M4 3v10M2.8 5.5h2.4v4H2.8zM8 2v9M6.8 4h2.4v4.5H6.8zM12 5v9M10.8 7h2.4v4.5h-2.4z",
  wallet:
    "M2.5 5.5v6.2c0 .7.6 1.3 1.3 1.3h8.4c.7 0 1.3-.6 1.3-1.3V6.8c0-.7-.6-1.3-1.3-1.3H2.5Zm0 0c0-1.2.8-2 2-2h6.2M10.8 9.3h.1",
  plus: "M8 3v10M3 8h10",
  back: "m9.5 3.5-5 4.5 5 4.5",
  check: "m3 8.5 3.2 3L13 4.8",
} as const;

export function Icon({ name, size = 16 }: { name: keyof typeof PATHS; size?: number }) {
  return (
    <svg className="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg className="logo" width="24" height="24" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <rect className="logo-ground" width="24" height="24" rx="6" />
      <path className="logo-mark" d="M5 12.6 12 6l7 6.6M8 13.4V18M12 11v7M16 13.4V18" />
    </svg>
  );
}
