import { defineConfig } from "vite";

/** The plain script: one file, no modules, a name that pages can write down. Built after the pages, into their folder. */
export default defineConfig({
  build: {
    outDir: "dist",
    emptyOutDir: false,
    copyPublicDir: false,
    target: "es2022",
    lib: {
      entry: "plain/websocket_client.ts",
      formats: ["iife"],
      name: "tapehouse",
      fileName: () => "js/websocket_client.js",
    },
  },
});
