/**
 * What the processes of one service tell each other. The first process reads the settings, has the database and takes the connections of the port. It
 * starts the others, its children, which serve.
 */
import type { Family } from "../metrics/prometheus-text.ts";

/** The argument with which the first process starts a child. */
export const SERVING = "serving";

/** The settings as the environment or `.env` has them, secrets among them: no process has those in its environment. */
export type GivenSettings = Record<string, string>;

export type ToChild =
  /** The first message. A child that `joins` others listens only when it is ready, so that nobody waits for it. */
  | { kind: "settings"; settings: GivenSettings; joins: boolean }
  /** The address of the database, which is up to date. */
  | { kind: "database"; url: string }
  | { kind: "stop" }
  | { kind: "tell your metrics"; question: number }
  | { kind: "metrics of all"; question: number; families: Family[] };

export type FromChild =
  /** The child hears from now on. What is sent before this is lost. */
  | { kind: "hears" }
  | { kind: "listening"; port: number }
  | { kind: "started" }
  /** The child cannot start, and ends. */
  | { kind: "fault"; reason: string }
  | { kind: "my metrics"; question: number; families: Family[] }
  | { kind: "tell the metrics of all"; question: number };
