/** Runs for each test file. What it calls keeps its state in a module of its own, which files that follow each other in one process share. */
import { afterAll, afterEach } from "vitest";
import { lastAnswers, requireDocumented } from "./watch-answers.ts";

afterEach(requireDocumented);
afterAll(async () => {
  await lastAnswers();
  await requireDocumented();
});
