import { defineConfig } from "vitest/config";

// Above the 30 s of every single wait, so that the wait says what it was for.
const shared = { environment: "node" as const, testTimeout: 60_000, hookTimeout: 90_000 };

export default defineConfig({
  test: {
    projects: [
      { test: { ...shared, name: "unit", include: ["src/**/*.test.ts", "test/{house,golden}/**/*.test.ts", "bench/**/*.test.ts"] } },
      // Real sockets, child processes from dist/, clients that npm alone can install.
      { test: { ...shared, name: "e2e", include: ["test/e2e/**/*.test.ts"], fileParallelism: false } },
      // Peers from outside npm: Debian packages, Maven Central, PyPI.
      { test: { ...shared, name: "interop", include: ["test/interop/**/*.test.ts"], fileParallelism: false } },
      // Real processes in network namespaces: wants root.
      { test: { ...shared, name: "nemesis", include: ["test/nemesis/**/*.test.ts"], fileParallelism: false } },
      { test: { ...shared, name: "sim", include: ["sim/**/*.test.ts"], testTimeout: 600_000 } },
    ],
  },
});
