import type { LookupAddress } from "node:dns";
import type { LookupFunction } from "node:net";
import { expect, it } from "vitest";
import { createNameLookup } from "../../src/fleet/name-lookup.ts";

const ADDRESS: LookupAddress = { address: "192.0.2.1", family: 4 };

/** A system that answers names of `.test` at once, and leaves other names, and those in `silent`, without an answer until `end`. */
function startSystem() {
  const asked: string[] = [];
  const silent = new Set<string>();
  const waiting: (() => void)[] = [];
  const resolve: LookupFunction = (host, _options, done) => {
    asked.push(host);
    if (host.endsWith(".test") && !silent.has(host)) done(null, [ADDRESS]);
    else waiting.push(() => done(Object.assign(new Error(`getaddrinfo EAI_AGAIN ${host}`), { code: "EAI_AGAIN" }), []));
  };
  return { asked, silent, resolve, end: () => waiting.shift()?.() };
}

it("asks the system for one unknown name at a time, and for a known one beside it", async () => {
  const { asked, resolve, end } = startSystem();
  const addressesOf = createNameLookup(resolve);
  await addressesOf("known.test");
  const unknown = ["a.silent", "b.silent"].map((name) => addressesOf(name));
  expect(await addressesOf("known.test")).toEqual([ADDRESS]);
  expect(asked).toEqual(["known.test", "a.silent", "known.test"]);
  end();
  await expect(unknown[0]).rejects.toThrow("EAI_AGAIN a.silent");
  await expect.poll(() => asked.at(-1)).toBe("b.silent");
  end();
  await expect(unknown[1]).rejects.toThrow("EAI_AGAIN b.silent");
});

it("asks once for callers of the same name, and again for those after them", async () => {
  const { asked, resolve } = startSystem();
  const addressesOf = createNameLookup(resolve);
  expect(await Promise.all([addressesOf("one.test"), addressesOf("one.test")])).toEqual([[ADDRESS], [ADDRESS]]);
  await addressesOf("one.test");
  expect(asked).toEqual(["one.test", "one.test"]);
});

it("gives up a name whose lookup does not begin in time", async () => {
  const { asked, resolve, end } = startSystem();
  const addressesOf = createNameLookup(resolve, { begunWithinMs: 20 });
  const first = addressesOf("a.silent");
  await expect(addressesOf("b.silent")).rejects.toThrow("too many names wait");
  end();
  await expect(first).rejects.toThrow("EAI_AGAIN");
  expect(asked).toEqual(["a.silent"]);
});

it("takes a name that was not found the last time for an unknown one", async () => {
  const { asked, silent, resolve, end } = startSystem();
  const addressesOf = createNameLookup(resolve);
  await addressesOf("flips.test");
  silent.add("flips.test");
  const lost = addressesOf("flips.test");
  await expect.poll(() => asked.length).toBe(2);
  end();
  await expect(lost).rejects.toThrow("EAI_AGAIN");
  const other = addressesOf("a.silent");
  const again = addressesOf("flips.test");
  await expect.poll(() => asked).toEqual(["flips.test", "flips.test", "a.silent"]);
  end();
  await expect(other).rejects.toThrow("EAI_AGAIN");
  await expect.poll(() => asked.length).toBe(4);
  end();
  await expect(again).rejects.toThrow("EAI_AGAIN");
});

it("gives a name its last addresses when it, or one before it, gets no answer any more", async () => {
  const { asked, silent, resolve, end } = startSystem();
  const addressesOf = createNameLookup(resolve, { quickMs: 50 });
  for (const name of ["lost.test", "other.test"]) await addressesOf(name);
  silent.add("lost.test");
  const both = ["lost.test", "other.test"].map((name) => addressesOf(name));
  expect(await Promise.all(both)).toEqual([[ADDRESS], [ADDRESS]]);
  expect(asked.slice(2)).toEqual(["lost.test"]);
  expect(await addressesOf("lost.test")).toEqual([ADDRESS]);
  end();
  await expect.poll(() => asked.at(-1)).toBe("other.test");
  // The system has said that it does not find the name.
  const again = addressesOf("lost.test");
  again.catch(() => {});
  await expect.poll(() => asked.at(-1)).toBe("lost.test");
  end();
  await expect(again).rejects.toThrow("EAI_AGAIN");
});
