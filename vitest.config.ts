import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What starts many processes or moves much data takes longest. Begun last, one such file would have a core to itself at the end. */
const LONG = /test\/(worker|db\/embedded|storage\/large|secrets|service|model|queue\/races)/;

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
    globalSetup: ["test/support/temporary.ts", "test/support/programs.ts", "test/support/postgres.ts"],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // One more than CI has cores: a third of the time, a file waits for processes, timers and locks. Each has a database of its own.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    restoreMocks: true,
  },
});
