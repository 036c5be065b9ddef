import "../styles/base.css";
import "../styles/page.css";
import type { ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { RealtimeClient } from "../client";
import { BootstrapContext, readBootstrap } from "../hooks/bootstrap";
import { RealtimeProvider } from "../hooks/realtime";

function socketUrl(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/realtime/`;
}

/** Draw the page, with what the server wrote into it and, where the visitor may connect, one connection for all of it. */
export function mount(page: ReactNode): void {
  const bootstrap = readBootstrap();
  const client = bootstrap.market_data ? new RealtimeClient(socketUrl()) : null;
  client?.connect();
  const root = document.getElementById("page");
  if (root === null) return;
  createRoot(root).render(
    <BootstrapContext.Provider value={bootstrap}>
      <RealtimeProvider client={client}>{page}</RealtimeProvider>
    </BootstrapContext.Provider>,
  );
}
