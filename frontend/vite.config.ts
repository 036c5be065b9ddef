import { defineConfig } from "vitest/config";

// The code is written against `react`, so that any React page can take it; our own build ships Preact, a tenth the size.
const preact = {
  "react/jsx-runtime": "preact/jsx-runtime",
  "react/jsx-dev-runtime": "preact/jsx-runtime",
  "react-dom/client": "preact/compat/client",
  "react-dom": "preact/compat",
  react: "preact/compat",
};

export default defineConfig({
  base: "/static/",
  resolve: { alias: preact },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    manifest: "manifest.json",
    target: "es2022",
    rolldownOptions: {
      input: {
        market: "pages/market.tsx",
        alerts: "pages/alerts.tsx",
        signals: "pages/signals.tsx",
        settings: "pages/settings.tsx",
        dashboard: "pages/dashboard.tsx",
        console: "pages/console.tsx",
        account: "styles/account.css",
      },
      output: {
        // WhiteNoise takes names with twelve hex digits for immutable and lets browsers keep them.
        hashCharacters: "hex",
        entryFileNames: "[name].[hash:12].js",
        chunkFileNames: "[name].[hash:12].js",
        assetFileNames: "[name].[hash:12][extname]",
      },
    },
  },
  test: { include: ["**/*.test.{ts,tsx}"], exclude: ["node_modules/**"] },
});
