/** Ends on the server what it is doing for a connection, as psql's Ctrl-C does. */
import pg from "pg";
import { pause } from "../signals.ts";

declare module "pg" {
  // What the driver has, and its types leave out.
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
/** After this the server, or the way to it, is taken to be gone for good. */
const GIVE_UP_AFTER_MS = 30_000;

/**
 * Asks the server to cancel what runs for `client`, and again until it has taken the request; resolves then, after 30 s without, or when
 * `signal` is aborted. What is sent on that connection afterwards may be cancelled in place of what was meant: it must be closed.
 */
export async function cancelStatement(client: pg.Client, signal: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + GIVE_UP_AFTER_MS;
  while (!(await requestCancel(client)) && !signal.aborted && performance.now() < giveUpAt)
    await pause(AGAIN_AFTER_MS, signal);
}

/** True when the server has read the request, which it says by ending the connection that brought it. */
function requestCancel({ host, port, ssl, processID, secretKey }: pg.Client): Promise<boolean> {
  // It never got so far that the server would do anything for it.
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
