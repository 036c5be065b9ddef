import { createContext, useContext, useMemo } from "react";
import { type Send, sender } from "../http";

/** What the server wrote into the page: who looks at it, and where to sign in and out. */
export interface Bootstrap {
  user: { username: string } | null;
  /** Whether this visitor runs the installation. */
  staff: boolean;
  /** Whether this visitor may see market data at all. */
  market_data: boolean;
  price_fresh_s: number;
  login_url: string;
  logout_url: string;
  csrf_token: string;
}

export const BootstrapContext = createContext<Bootstrap | null>(null);

export function useBootstrap(): Bootstrap {
  const bootstrap = useContext(BootstrapContext);
  if (bootstrap === null) throw new Error("no BootstrapContext above");
  return bootstrap;
}

/** How this visitor changes things on the server. */
export function useSend(): Send {
  const { csrf_token } = useBootstrap();
  return useMemo(() => sender(csrf_token), [csrf_token]);
}

export function readBootstrap(): Bootstrap {
  return JSON.parse(document.getElementById("bootstrap")?.textContent ?? "null") as Bootstrap;
}
