/** Cancels a running statement on the server, as Ctrl-C in psql does. */
import pg from "pg";
import { pause } from "../abort-signals.ts";

declare module "pg" {
  // Members that the driver has and its published types leave out.
  interface Client {
    readonly processID: number | null;
    readonly secretKey: number | null;
  }
  interface Connection {
    connect(portOrPath: number | string, host?: string): void;
    requestSsl(): void;
    cancel(processID: number, secretKey: number): void;
  }
}

const ANSWER_WITHIN_MS = 1_000;
const AGAIN_AFTER_MS = 250;
/** After this time the server, or the network path to it, is taken to be gone for good. */
const GIVE_UP_AFTER_MS = 30_000;

/**
 * Asks the server to cancel the statement that runs for `client`, and repeats the request until the server has read it. Resolves then, or
 * after 30 s without success, or when `signal` is aborted. Close the connection afterwards: a late cancellation could hit a later statement.
 */
export async function cancelRunningStatement(client: pg.Client, signal: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + GIVE_UP_AFTER_MS;
  while (!(await requestCancel(client)) && !signal.aborted && performance.now() < giveUpAt)
    await pause(AGAIN_AFTER_MS, signal);
}

/** Resolves to true when the server has read the request. The server shows that by closing the connection that carried it. */
function requestCancel({ host, port, ssl, processID, secretKey }: pg.Client): Promise<boolean> {
  // The connection was never established, so the server runs nothing for it.
  if (processID === null || secretKey === null) return Promise.resolve(true);
  const connection = new pg.Connection({ ssl });
  return new Promise((resolve) => {
    let isSent = false;
    const send = () => {
      connection.cancel(processID, secretKey);
      isSent = true;
    };
    const late = setTimeout(() => {
      isSent = false;
      connection.stream.destroy();
    }, ANSWER_WITHIN_MS);
    connection.on("connect", () => (ssl ? connection.requestSsl() : send()));
    connection.on("sslconnect", send);
    connection.on("error", () => {
      isSent = false;
    });
    connection.on("end", () => {
      clearTimeout(late);
      resolve(isSent);
    });
    if (host.startsWith("/")) connection.connect(`${host}/.s.PGSQL.${port}`);
    else connection.connect(port, host);
  });
}
