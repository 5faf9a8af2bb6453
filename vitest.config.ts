import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/temporary.ts", "test/support/programs.ts", "test/support/postgres.ts"],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // Two cores, and each file has a database of its own on the one server.
    maxWorkers: 2,
    restoreMocks: true,
  },
});
