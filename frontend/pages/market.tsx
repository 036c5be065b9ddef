import "../styles/base.css";
import "../styles/market.css";
import { createRoot } from "react-dom/client";
import { RealtimeClient } from "../client";
import { BootstrapContext, readBootstrap } from "../hooks/bootstrap";
import { RealtimeProvider } from "../hooks/realtime";
import { App } from "./app";

function socketUrl(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/realtime/`;
}

const bootstrap = readBootstrap();
const client = bootstrap.market_data ? new RealtimeClient(socketUrl()) : null;
client?.connect();

const root = document.getElementById("page");
if (root !== null) {
  createRoot(root).render(
    <BootstrapContext.Provider value={bootstrap}>
      <RealtimeProvider client={client}>
        <App />
      </RealtimeProvider>
    </BootstrapContext.Provider>,
  );
}
