/** The answers to the calls that `first-calls.ts` has sent. */
import type { ClientOptions } from "../client/index.ts";

type Call = Parameters<NonNullable<ClientOptions["fetch"]>>;

/** What was sent, by its address. */
export type FirstCalls = Map<string, { answer: Promise<Response>; stop: AbortController }>;

declare global {
  interface Window {
    firstCalls?: FirstCalls;
  }
}

/** The answer to this call, where it was sent already; each is given once. */
export function firstAnswer(...[url, { method, signal }]: Call): Promise<Response> | undefined {
  const call = method === "GET" ? window.firstCalls?.get(url) : undefined;
  if (!call) return undefined;
  window.firstCalls?.delete(url);
  signal?.addEventListener("abort", () => call.stop.abort(signal.reason));
  return call.answer;
}

/** Forgets the answers that nobody has taken: they were given to another key, or before a failure. */
export function forgetFirstAnswers(): void {
  for (const { stop } of window.firstCalls?.values() ?? []) stop.abort();
  window.firstCalls?.clear();
}
