import { readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { archiveName, writeArchive } from "../../src/retention/archive-file.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const folder = await temporaryFolder("bloom-archive-");

it("an archive removes what a killed process left of its own, and nothing that may still be written", async () => {
  const [left, young] = ["left", "young"].map((id) => `${archiveName("tasks", new Date(), id)}.unfinished`) as [
    string,
    string,
  ];
  const whole = archiveName("audit", new Date(), "whole");
  const twoHoursAgo = Date.now() / 1_000 - 7_200;
  for (const name of [left, young, whole]) await writeFile(join(folder, name), "");
  for (const name of [left, whole]) await utimes(join(folder, name), twoHoursAgo, twoHoursAgo);
  const made = archiveName("tasks", new Date(), "made");
  async function* lines() {
    yield "{}";
  }
  await writeArchive({ folder, bucket: undefined }, made, lines(), new AbortController().signal);
  expect((await readdir(folder)).toSorted()).toEqual([whole, made, young].toSorted());
});
