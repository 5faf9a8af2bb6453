/** Meters that several parts of the service share under one name: how many callers wait, circuits, loops, and calls over the network. */

import type { Reading } from "./registry.ts";
import type { Meters } from "./service-meters.ts";

/** What is called over the network. */
export type Target = Parameters<Meters["callDuration"]["observe"]>[1]["target"];

/** Reports how many callers wait on this instance, for `what`. */
export function watchWaiters(
  { registry }: Meters,
  what: "claim" | "result" | "live output" | "event",
  size: () => number,
) {
  registry.watch(`waiters for ${what}`, () => [
    {
      name: "bloom_waiters",
      help: "Callers that wait on this instance now, by what for.",
      values: [{ labels: { for: what }, value: size() }],
    },
  ]);
}

/** Reports the circuit of a target: while it is open, calls fail at once. */
export function watchCircuit({ registry }: Meters, target: Target, isOpen: () => boolean) {
  registry.watch(`circuit of ${target}`, () => [
    {
      name: "bloom_circuit_open",
      help: "1 while a target is left alone, since it failed too often.",
      isOneFact: true,
      values: [{ labels: { target }, value: Number(isOpen()) }],
    },
  ]);
}

/** Reports when a loop last made a pass without a failure; `at` gives it in epoch milliseconds, undefined before the first. */
export function watchLoop({ registry }: Meters, loop: string, at: () => number | undefined) {
  registry.watch(`loop ${loop}`, () => {
    const ms = at();
    const values: Reading[] = ms === undefined ? [] : [{ labels: { loop }, value: ms / 1_000 }];
    return [
      {
        name: "bloom_loop_last_success_timestamp_seconds",
        help: "When each loop last made a pass without a failure.",
        isOneFact: true,
        values,
      },
    ];
  });
}

/** Begins to measure a call. The function that it gives takes how the call ended; a call that nobody waited for is not counted. */
export function timeCall(meters: Meters | undefined, target: Target): (outcome: "success" | "error") => void {
  const began = performance.now();
  return (outcome) => meters?.callDuration.observe((performance.now() - began) / 1_000, { target, outcome });
}
