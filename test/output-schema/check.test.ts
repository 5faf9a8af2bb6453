import { expect, it } from "vitest";
import { Unavailable } from "../../src/errors.ts";
import { checkOutput, schemaFault } from "../../src/output-schema/check.ts";
import { slowSchema } from "../support/slow-schema.ts";

const by = (of: string) => ({ of });

it("refuses a schema when 20 of the same asker wait for their check, and checks outputs and others' schemas all the same", async () => {
  const checks = Array.from({ length: 21 }, () => schemaFault({ type: "string" }, by("many")));
  const others = schemaFault({ type: "string" }, by("other"));
  const output = checkOutput({ type: "string" }, '"text"', by("worker"));
  const settled = await Promise.allSettled(checks);
  expect(settled.slice(0, 20)).toEqual(Array(20).fill({ status: "fulfilled", value: undefined }));
  expect(settled[20]).toEqual({ status: "rejected", reason: expect.any(Unavailable) });
  expect(await others).toBeUndefined();
  expect((await output).schemaFault).toBeUndefined();
  expect(await schemaFault({ type: "string" }, by("many"))).toBeUndefined();
});

it("checks the schemas and outputs of several askers in turns, and lets nobody wait for a turn for longer than wished", async () => {
  const done: string[] = [];
  const check = (of: string, schema: object) => schemaFault(schema, by(of)).then(() => done.push(of));
  const slow = Array.from({ length: 5 }, (_, n) => check("slow", slowSchema(n)));
  const quick = [check("quick", { type: "string" }), check("other", { type: "string" })];
  await expect(schemaFault({ type: "string" }, { of: "slow", withinMs: 5 })).rejects.toThrow(Unavailable);
  await Promise.all([...slow, ...quick]);
  expect(done).toEqual(["slow", "slow", "quick", "other", "slow", "slow", "slow"]);
}, 30_000);
