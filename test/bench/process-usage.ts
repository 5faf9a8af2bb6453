/** What a process takes, as Linux tells; elsewhere, NaN. */
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** The kernel counts in hundredths of a second. */
const TICK_MS = 10;
const IDLE_MS = 5_000;

/** The most memory that it has had so far, in MB. */
export function peakRssMb(pid: number): number {
  const status = `/proc/${pid}/status`;
  if (!existsSync(status)) return Number.NaN;
  return Number(readFileSync(status, "utf8").match(/VmHWM:\s+(\d+) kB/)?.[1]) / 1_024;
}

/** The share of a core that it takes while nobody asks it for anything. */
export async function idleShare(pid: number): Promise<number> {
  // What the start has left to do.
  await delay(1_000);
  const before = cpuMs(pid);
  await delay(IDLE_MS);
  return (cpuMs(pid) - before) / IDLE_MS;
}

/** The processor time that it and its children have used so far, in milliseconds, that of all their threads. */
export function cpuMs(pid: number): number {
  const stat = `/proc/${pid}/stat`;
  if (!existsSync(stat)) return Number.NaN;
  const fields = readFileSync(stat, "utf8").split(") ")[1]?.split(" ") ?? [];
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
  const own = (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  return children.reduce((sum, child) => sum + cpuMs(Number(child)), own);
}
