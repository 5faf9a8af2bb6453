/** Cancels a running statement on the server, as Ctrl-C in psql does. */
import { once } from "node:events";
import pg from "pg";

declare module "pg" {
  // Members that the driver has and its published types leave out.
  interface Client {
    readonly processID: number | null;
    readonly secretKey: number | null;
    /** True when the server has answered all that was sent. */
    readonly readyForQuery: boolean;
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
/** After this time without an answer of the statement, its own connection is taken to be dead, since the server has read the request elsewhere. */
const OVER_WITHIN_MS = 3_000;

/**
 * Asks the server to cancel the statement that runs for `client`, and repeats the request until the statement is over: a request that is faster than
 * its statement cancels nothing. Resolves then, 3 s after the server has read a request, after 30 s without success, or when `signal` is aborted.
 * Close the connection afterwards: a late cancellation could hit a later statement.
 */
export async function cancelRunningStatement(client: pg.Client, signal: AbortSignal): Promise<void> {
  let giveUpAt = performance.now() + GIVE_UP_AFTER_MS;
  let isRead = false;
  while (!isOver(client) && !signal.aborted && performance.now() < giveUpAt) {
    if ((await requestCancel(client)) && !isRead) {
      isRead = true;
      giveUpAt = Math.min(giveUpAt, performance.now() + OVER_WITHIN_MS);
    }
    if (!isOver(client)) await statementOver(client, AbortSignal.any([signal, AbortSignal.timeout(AGAIN_AFTER_MS)]));
  }
}

/** True where the connection was never established or is closed, or where the server has answered its statement. */
const isOver = ({ processID, readyForQuery, connection }: pg.Client) =>
  processID === null || readyForQuery || connection.stream.destroyed;

/** Resolves when the server has answered the statement, or when `signal` is aborted. */
const statementOver = (client: pg.Client, signal: AbortSignal) => once(client, "drain", { signal }).catch(() => {});

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
