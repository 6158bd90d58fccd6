// The suite is published compiled: its tests are in node_modules, where vitest does not look by itself.
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["**/server-conformance-tests/dist/test-runner.js"],
    exclude: [],
    testTimeout: 30000,
    hookTimeout: 30000,
    // Many of the suite's tests have to be quick themselves (a TTL of 2 s is renewed after 1.5 s).
    retry: 4,
    maxWorkers: 1,
  },
})
