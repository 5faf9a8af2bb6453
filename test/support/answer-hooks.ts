/** Runs for each test file. The state is in watch-answers.ts, since test files that run one after the other in a process share that module. */
import { afterAll, afterEach } from "vitest";
import { lastAnswers, requireDocumented } from "./watch-answers.ts";

afterEach(requireDocumented);
afterAll(async () => {
  await lastAnswers();
  await requireDocumented();
});
