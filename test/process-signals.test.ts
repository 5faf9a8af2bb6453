import { EventEmitter } from "node:events";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { onEndAsked } from "../src/process-signals.ts";

beforeAll(() => {
  vi.useFakeTimers();
});
afterAll(() => {
  vi.useRealTimers();
});

function aProcess() {
  const heard: string[] = [];
  const source = new EventEmitter();
  onEndAsked(
    (signal) => heard.push(signal),
    () => heard.push("again"),
    source,
  );
  return { heard, send: (signal: NodeJS.Signals) => source.emit(signal, signal) };
}

it("Ctrl-C that comes from the terminal and from npm is one wish", () => {
  const { heard, send } = aProcess();
  send("SIGINT");
  vi.advanceTimersByTime(100);
  send("SIGINT");
  expect(heard).toEqual(["SIGINT"]);
  vi.advanceTimersByTime(600);
  send("SIGINT");
  send("SIGINT");
  expect(heard).toEqual(["SIGINT", "again"]);
});

it("another signal is another wish, however soon it comes", () => {
  const { heard, send } = aProcess();
  send("SIGTERM");
  send("SIGINT");
  expect(heard).toEqual(["SIGTERM", "again"]);
});

it("a terminal that is closed is asked for both at once, and once", () => {
  const { heard, send } = aProcess();
  send("SIGHUP");
  send("SIGHUP");
  expect(heard).toEqual(["SIGHUP", "again"]);
});
