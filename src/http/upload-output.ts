import type { Request } from "express";
import type { z } from "zod";
import { unlessAborted } from "../abort-signals.ts";
import { Refusal, Unavailable } from "../errors.ts";
import { openFairTurns } from "../fair-turns.ts";
import { leaseForUpload } from "../queue/lease-for-upload.ts";
import { uploadReplaced } from "../storage/output-pieces.ts";
import { requireAtMost, stageUpload } from "../storage/staging.ts";
import { allowBody } from "./body-arrival.ts";
import { InvalidValue } from "./parse-request.ts";
import { requireOwnLease } from "./require-own-worker.ts";
import type { Call } from "./route.ts";
import { sendAsText, wantsText } from "./text-answer.ts";

type UploadCall = Call<"/:id", z.ZodType, z.ZodObject>;

/** 415: the bytes that are stored must be those that were sent, so that no encoding is undone. */
class UnsupportedEncoding extends Refusal {
  readonly status = 415;
}

/** The largest output over a home's uplink of 5 Mbit/s takes half an hour. */
const UPLOAD_WITHIN_MS = 3_600_000;
/**
 * The least pace of an upload: 35 kbit/s, over a minute. An upload holds up to 256 KB in memory. Before this limit, 4,000 stopped uploads held 1.1 GB
 * for an hour.
 */
const LEAST_BYTES = 256 * 1024;
const LEAST_WITHIN_MS = 60_000;
/** A worker's key may upload as much at once as a worker can hold tasks (`max_concurrency`). All uploads at once hold 64 MB. */
const UPLOADS = { atOnce: 256, ofOne: 32, ofAll: 1_000 };
const BEGUN_WITHIN_MS = 15_000;
/** How long after a refusal the bytes that the client still sends are read and dropped. */
const LINGER_MS = 5_000;

/**
 * `PUT /api/runtime/llm-tasks/:id/output`: the bytes of an output, as they are, of any size up to `maxBytes`. An upload under way is ended at once
 * when another one under the same lease comes to the same process.
 */
export function upload(maxBytes: number) {
  const turns = openFairTurns(
    UPLOADS,
    () => new Unavailable("Too many outputs are being uploaded now. Try again shortly."),
  );
  /** The latest upload of each lease. */
  const uploads = new Map<string, AbortController>();

  /** Runs the upload in the asker's turn, in place of an earlier one under the lease. Its signal is aborted when a later one takes its place. */
  async function inTurn<Done>(asker: string, leaseId: string, work: (signal: AbortSignal) => Promise<Done>) {
    const replaced = new AbortController();
    uploads.get(leaseId)?.abort(uploadReplaced());
    uploads.set(leaseId, replaced);
    try {
      const endTurn = await turns.take(asker, BEGUN_WITHIN_MS);
      return await work(replaced.signal).finally(endTurn);
    } finally {
      if (uploads.get(leaseId) === replaced) uploads.delete(leaseId);
    }
  }

  return async ({ request, response, db, caller, params }: UploadCall): Promise<void> => {
    const encoding = request.get("content-encoding") ?? "identity";
    if (encoding !== "identity") throw new UnsupportedEncoding("Send the output as it is, without Content-Encoding.");
    allowBody(request, UPLOAD_WITHIN_MS);
    try {
      // An upload that says that it is too long is refused before any of it is read.
      requireAtMost(maxBytes, Number(request.get("content-length") ?? 0));
      const named = await requireOwnLease(db, caller, params.id, request.get("x-lease-id")?.toLowerCase());
      const leaseId = await leaseForUpload(db, params.id, named);
      // Many workers may share the main key, so its uploads are counted by lease.
      const { id, size_bytes, sha256 } = await inTurn(caller.key?.id ?? leaseId, leaseId, async (signal) => {
        signal.throwIfAborted();
        return await stageUpload(db, { taskId: params.id, leaseId }, bytesOf(request, signal), maxBytes);
      });
      response.status(201);
      if (!wantsText(request)) return void response.json({ output_id: id, size_bytes, sha256 });
      sendAsText(response, { "Output-Id": id, "Size-Bytes": size_bytes, Sha256: sha256 }, "The output is uploaded.\n");
    } catch (error) {
      // A client that is cut off while it sends does not see the refusal.
      allowBody(request.resume(), LINGER_MS);
      throw error;
    }
  };
}

/**
 * The request's body, which must come at the least pace. A reader that stops early leaves the connection open for the answer. Throws InvalidValue
 * when the client cuts the body off, and the reason of `signal` when that is aborted.
 */
async function* bytesOf(request: Request, signal: AbortSignal): AsyncGenerator<Buffer> {
  const until = performance.now() + UPLOAD_WITHIN_MS;
  const expectMore = () => allowBody(request, Math.min(LEAST_WITHIN_MS, until - performance.now()));
  const body = request.iterator({ destroyOnReturn: false });
  let bytes = 0;
  expectMore();
  try {
    for (;;) {
      const { done, value } = await unlessAborted(body.next(), signal).catch((error) => {
        // Node's own error has the code of a network fault, and would be taken for a fault of the database.
        throw signal.aborted ? error : new InvalidValue("The upload was cut off before its end.");
      });
      if (done) return;
      bytes += value.length;
      if (bytes >= LEAST_BYTES) {
        expectMore();
        bytes = 0;
      }
      yield value;
    }
  } finally {
    // Until the iterator has ended, `resume` reads nothing, and the connection is of no more use. After an abort the iterator ends only when more of
    // the body comes, so that nothing waits for it here.
    body.return?.().then(
      () => request.resume(),
      () => {},
    );
  }
}
