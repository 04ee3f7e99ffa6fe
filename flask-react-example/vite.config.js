import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const { FLASK_RUN_PORT = "5000", VITE_PORT = "5173" } = process.env;

export default defineConfig({
  root: "src",
  // relative, so that it holds wherever the page is mounted
  base: "./",
  plugins: [react()],
  build: {
    outDir: "../static/dist",
    emptyOutDir: true,
    license: { fileName: "licenses.md" },
    chunkSizeWarningLimit: 600,
  },
  server: {
    host: "127.0.0.1",
    port: Number(VITE_PORT),
    strictPort: true,
    proxy: { "/api_1_0": `http://127.0.0.1:${FLASK_RUN_PORT}` },
  },
  test: { environment: "happy-dom" },
});
