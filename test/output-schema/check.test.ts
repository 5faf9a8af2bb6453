import { expect, it } from "vitest";
import { Unavailable } from "../../src/errors.ts";
import { checkOutput, schemaFault } from "../../src/output-schema/check.ts";

it("refuses a schema when 20 wait for their check, and checks outputs all the same", async () => {
  const checks = Array.from({ length: 21 }, () => schemaFault({ type: "string" }));
  const output = checkOutput({ type: "string" }, '"text"');
  const settled = await Promise.allSettled(checks);
  expect(settled.slice(0, 20)).toEqual(Array(20).fill({ status: "fulfilled", value: undefined }));
  expect(settled[20]).toEqual({ status: "rejected", reason: expect.any(Unavailable) });
  expect((await output).schemaFault).toBeUndefined();
  expect(await schemaFault({ type: "string" })).toBeUndefined();
});
