/** What the system and Node say of this process, under the names that Prometheus' clients use. */
import { readdirSync, readFileSync } from "node:fs";
import type { Readings } from "./registry.ts";

const STARTED_AT_SECONDS = Date.now() / 1_000 - process.uptime();

export function processReadings(): Readings[] {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
  const { active, idle } = performance.eventLoopUtilization();
  const gauge = (name: string, help: string, value: number | undefined): Readings[] =>
    value === undefined ? [] : [{ name, help, values: [{ value }] }];
  const counter = (name: string, help: string, value: number): Readings[] => [
    { name, help, type: "counter", values: [{ value }] },
  ];
  return [
    ...counter("process_cpu_seconds_total", "Processor time of the process.", (user + system) / 1_000_000),
    {
      name: "process_start_time_seconds",
      help: "When the process started.",
      isOneFact: true,
      values: [{ value: STARTED_AT_SECONDS }],
    },
    ...gauge("process_resident_memory_bytes", "Memory of the process.", rss),
    ...gauge("process_open_fds", "Open file descriptors.", openFiles()),
    ...gauge("process_max_fds", "The limit of open file descriptors (ulimit -n).", openFilesLimit()),
    ...gauge("nodejs_heap_size_used_bytes", "V8's heap in use.", heapUsed),
    ...gauge("nodejs_heap_size_total_bytes", "V8's heap.", heapTotal),
    ...gauge("nodejs_external_memory_bytes", "Buffers outside of V8's heap.", external),
    ...counter("bloom_event_loop_active_seconds_total", "Time in which the event loop was at work.", active / 1_000),
    ...counter("bloom_event_loop_idle_seconds_total", "Time in which the event loop had nothing to do.", idle / 1_000),
  ];
}

function openFiles(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    // Only Linux tells the number of open files in this way.
    return undefined;
  }
}

/** How many files this process may have open; undefined on systems that do not say it in a file, as only Linux does. */
export function openFilesLimit(): number | undefined {
  try {
    const limit = Number(/^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);
    return Number.isInteger(limit) ? limit : undefined;
  } catch {
    return undefined;
  }
}
