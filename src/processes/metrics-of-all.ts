/** The metrics of a service of several processes, as one. */

import { processReadings } from "../metrics/process.ts";
import { addUp, type Family } from "../metrics/prometheus-text.ts";
import { familiesOf } from "../metrics/registry.ts";
import type { ChildHandle } from "./child-handle.ts";

/** The metrics that the first process adds of its own: it has neither requests nor connections. */
const OF_THE_FIRST = /^process_(cpu|resident)|^nodejs_/;

export interface MetricsOfAll {
  now(): Promise<Family[]>;
  /** Keeps the counts of a child that has ended. A sum that falls is a restart for Prometheus, which would then count all of it again. */
  keep(ended: ChildHandle): void;
}

export function openMetricsOfAll(serving: () => Iterable<ChildHandle>): MetricsOfAll {
  let counted: Family[] = [];
  return {
    async now() {
      // Read before the children are asked: a child that ends meanwhile tells its last numbers, and must not be counted twice.
      const ofEnded = counted;
      const told = await Promise.all([...serving()].map((each) => each.metrics()));
      const own = familiesOf(processReadings().filter(({ name }) => OF_THE_FIRST.test(name)));
      return addUp([...told.flat(), ...ofEnded, ...own]);
    },
    keep(ended) {
      counted = addUp([...counted, ...ended.lastMetrics().filter(({ type }) => type !== "gauge")]);
    },
  };
}
