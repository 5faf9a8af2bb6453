import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that share what their support modules start when they are loaded, or that change a module: each needs a process of its own. */
const ISOLATED = ["test/worker/**/*.test.ts", "test/http/express-prototypes.test.ts"];
/** What starts many processes or moves much data takes longest. Begun last, one such file would have a core to itself at the end. */
const LONG = /test\/(worker|embedded|processes|storage\/large|secrets|service|model|queue\/races)/;

/** Isolated files come first, then the long ones: a process is kept for the next file only when that one may share it. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification) =>
      project.config.isolate ? 0 : LONG.test(moduleId) ? 1 : 2;
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

const EACH_TEST = {
  setupFiles: ["test/support/answer-hooks.ts"],
  testTimeout: 60_000,
  hookTimeout: 120_000,
  // 1 s by default, in which a busy machine may not even get to its turn. Nothing is waited for longer than it takes.
  expect: { poll: { timeout: 20_000 } },
  restoreMocks: true,
};

export default defineConfig({
  test: {
    globalSetup: [
      "test/support/run-folder.ts",
      "test/support/compiled-programs.ts",
      "test/support/postgres.ts",
      "test/support/answer-checks.ts",
      "test/support/browser-server.ts",
    ],
    // Two more than CI has cores, since many tests wait for processes: the suite took 273 s with four (2,032 tests), 347 with three, 443 with two. Each file has a
    // database of its own.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    projects: [
      { test: { name: "own process", include: ISOLATED, ...EACH_TEST } },
      {
        test: {
          name: "shared process",
          include: ["test/**/*.test.ts"],
          exclude: ISOLATED,
          // Loading the code took half of the CPU time of a file. The next file finds it loaded.
          isolate: false,
          ...EACH_TEST,
        },
      },
    ],
  },
});
