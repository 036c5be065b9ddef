import { useEffect, useState } from "react";

export type Theme = "light" | "dark";

const YEAR_S = 31_536_000;
const system = () => matchMedia("(prefers-color-scheme: dark)");

function chosen(): Theme | null {
  const theme = document.documentElement.dataset.theme;
  return theme === "light" || theme === "dark" ? theme : null;
}

function systemTheme(): Theme {
  return system().matches ? "dark" : "light";
}

/**
 * The theme and how to change it. The system's until the reader chooses; the choice goes into a cookie, so that the
 * server writes it into the page and nothing flashes in the wrong colours.
 */
export function useTheme(): [Theme, () => void] {
  const [theme, setTheme] = useState<Theme>(() => chosen() ?? systemTheme());
  useEffect(() => {
    const query = system();
    const follow = () => setTheme(chosen() ?? systemTheme());
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, []);
  const toggle = () => {
    const next = theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is not in every browser yet
    document.cookie = `theme=${next}; path=/; max-age=${YEAR_S}; samesite=lax`;
    setTheme(next);
  };
  return [theme, toggle];
}
