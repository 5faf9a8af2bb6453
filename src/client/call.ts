/** How a call is sent over fetch, and what may become of it. */

/** The bytes of an upload. */
export type Bytes = Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | string | ByteStream;

/** Bytes that come piece by piece, such as a file's: `size` of them. In a browser, send a Blob instead. */
export interface ByteStream {
  stream: ReadableStream<Uint8Array>;
  size: number;
}

/** How a call is made. */
export interface Options<Header extends string = never> {
  /** Aborted, it ends the call, which rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  headers?: [Header] extends [never] ? undefined : { [Name in Header]?: string | undefined };
}

/** A page of a list. Where there are more records, `next` are the arguments that get the next page, beside those that got this one. */
export type Page<Record> = Record[] & { next?: Next };
export interface Next {
  after?: string;
  limit?: string;
}

/** The runtime itself has refused the call. The message is its sentence. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly status: number;
  /** What is wrong, by the body's top-level fields, where the runtime says so. */
  readonly fields: { [field: string]: string[] };
  /** In how many seconds the same call may succeed, where the runtime says so. */
  readonly retryAfterSeconds: number | undefined;
  /** Names the call in the runtime's log. */
  readonly requestId: string | undefined;
  /** The JSON that came. */
  readonly body: unknown;

  constructor(response: Response, body: unknown) {
    const { error, message } = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
    const { formErrors = [], fieldErrors = {} } = (typeof error === "object" && error !== null ? error : {}) as {
      formErrors?: string[];
      fieldErrors?: { [field: string]: string[] };
    };
    const faults = [...formErrors, ...Object.entries(fieldErrors).map(([field, why]) => `${field}: ${why.join(", ")}`)];
    // Where there are both, `message` is the sentence, and `error` a word such as "Unauthorized".
    super(
      faults.join("; ") || [message, error].find((text) => typeof text === "string") || `Status ${response.status}`,
    );
    this.status = response.status;
    this.fields = fieldErrors;
    this.retryAfterSeconds = Number(response.headers.get("retry-after")) || undefined;
    this.requestId = response.headers.get("x-request-id") ?? undefined;
    this.body = body;
  }
}

/** The runtime did not answer: it was not reached, or something else did. Whether the call was carried out is not known. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

/** What a call asks of `fetch`. */
export interface FetchRequest {
  method: string;
  headers: [name: string, value: string][];
  body: Exclude<Bytes, ByteStream> | ReadableStream<Uint8Array> | null;
  /** A stream is sent before its answer is read. */
  duplex: "half";
  /** A redirected POST would become a GET, whose 200 would be taken for an acceptance. */
  redirect: "manual";
  signal: AbortSignal | null;
}
export type Fetch = (url: string, request: FetchRequest) => Promise<Response>;

export interface ClientOptions {
  /** Where the runtime is, such as `http://host:3002`. In a page of its own: `location.origin`. */
  url: string;
  /** Its key, or what gives the key before each call; undefined: none is sent. */
  key?: string | undefined | (() => string | undefined);
  /** In place of the global `fetch`. */
  fetch?: Fetch;
}

/** What is sent. */
export interface Sent {
  method: string;
  /** The path with its query. */
  path: string;
  headers: { [name: string]: string | undefined };
  body?: Bytes | undefined;
  signal?: AbortSignal | undefined;
}

const isByteStream = (body: Bytes | undefined): body is ByteStream =>
  typeof body === "object" && "stream" in body && typeof body.stream === "object";

/** Gives what sends a call and resolves to the runtime's answer. Rejects with `Refused`, `NoAnswer`, or the reason of an aborted signal. */
export function createSender({ url, key, fetch: given }: ClientOptions) {
  const base = url.replace(/\/+$/, "");
  return async ({ method, path, headers, body, signal }: Sent): Promise<Response> => {
    const fetching: Fetch = given ?? fetch;
    const shown = typeof key === "function" ? key() : key;
    const streamed = isByteStream(body);
    const sent = { ...headers, "X-Runtime-API-Key": shown, ...(streamed && { "Content-Length": String(body.size) }) };
    const request: FetchRequest = {
      method,
      headers: Object.entries(sent).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
      body: (streamed ? body.stream : body) ?? null,
      duplex: "half",
      redirect: "manual",
      signal: signal ?? null,
    };
    const response = await fetching(base + path, request).catch((error: unknown) => {
      signal?.throwIfAborted();
      throw new NoAnswer(`The runtime at ${base} was not reached: ${reasonOf(error)}`, { cause: error });
    });
    // While the runtime restarts, a proxy in front of it answers by itself. Such an answer says nothing about the call.
    if (response.headers.get("x-bloom-runtime") !== "1") {
      await response.body?.cancel();
      const to = response.headers.get("location");
      const leads = to ? ` It leads to ${to.slice(0, 200)}.` : "";
      throw new NoAnswer(`The answer ${response.status} at ${base} is not the runtime's own.${leads}`);
    }
    if (response.ok || response.status === 304) return response;
    throw new Refused(response, await jsonOf(response, signal).catch(() => undefined));
  };
}

/** The JSON of an answer; undefined where it has no body. NoAnswer: the connection broke before its end. */
export async function jsonOf(response: Response, signal: AbortSignal | undefined): Promise<unknown> {
  const text = await response.text().catch((error: unknown) => {
    signal?.throwIfAborted();
    throw new NoAnswer(`The runtime's answer broke off: ${reasonOf(error)}`, { cause: error });
  });
  return text === "" ? undefined : JSON.parse(text);
}

/** What fetch says of a failed connection is in the error's cause, where there is one. What OpenSSL says of a port without TLS is no sentence. */
function reasonOf(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : { message: String(error), cause: undefined };
  if (!(cause instanceof Error)) return message;
  const code = "code" in cause ? String(cause.code) : "";
  return code.startsWith("ERR_SSL_")
    ? `there is no TLS as expected (${code}); is it http://?`
    : cause.message || message;
}
