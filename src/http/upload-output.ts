import type { Request } from "express";
import type { z } from "zod";
import { Refusal } from "../errors.ts";
import { uploadOutput } from "../queue/upload-output.ts";
import { requireAtMost } from "../storage/staging.ts";
import { allowBody } from "./http-server.ts";
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
/** How long after a refusal the bytes that the client still sends are read and dropped. */
const LINGER_MS = 5_000;

/** `PUT /api/runtime/llm-tasks/:id/output`: the bytes of an output, as they are, of any size up to `maxBytes`. */
export function upload(maxBytes: number) {
  return async ({ request, response, db, caller, params }: UploadCall): Promise<void> => {
    const encoding = request.get("content-encoding") ?? "identity";
    if (encoding !== "identity") throw new UnsupportedEncoding("Send the output as it is, without Content-Encoding.");
    allowBody(request, UPLOAD_WITHIN_MS);
    try {
      // An upload that says that it is too long is refused before any of it is read.
      requireAtMost(maxBytes, Number(request.get("content-length") ?? 0));
      const leaseId = await requireOwnLease(db, caller, params.id, request.get("x-lease-id")?.toLowerCase());
      const { id, size_bytes, sha256 } = await uploadOutput(db, params.id, leaseId, bytesOf(request), maxBytes);
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

/** The request's body. A reader that stops early leaves the connection open for the answer. Throws InvalidValue when the client cuts the body off. */
async function* bytesOf(request: Request): AsyncGenerator<Buffer> {
  try {
    yield* request.iterator({ destroyOnReturn: false });
  } catch {
    // Node's own error has the code of a network fault, and would be taken for a fault of the database.
    throw new InvalidValue("The upload was cut off before its end.");
  }
}
