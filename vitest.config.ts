import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What starts many processes or moves much data takes longest. Begun last, one such file would have a core to itself at the end. */
const LONG = /test\/(worker|embedded|storage\/large|secrets|service|model|queue\/races)/;

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => LONG.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: [
      "test/support/temporary.ts",
      "test/support/programs.ts",
      "test/support/postgres.ts",
      "test/support/answer-checks.ts",
    ],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // As many as CI has cores: with a third, tests that wait for processes met their time limits. Each file has a database of its own.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    restoreMocks: true,
  },
});
