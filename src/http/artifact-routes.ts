import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Request } from "express";
import type { Logger } from "pino";
import { askerOf } from "../caller.ts";
import { artifactAddress } from "../contract/answers.ts";
import { artifactRecord } from "../contract/output-records.ts";
import * as queries from "../contract/queries.ts";
import { slimArtifactRecord, wholeOrSlim } from "../contract/slim-records.ts";
import { messageOf, Unavailable } from "../errors.ts";
import { openFairTurns } from "../fair-turns.ts";
import { artifactsOf, getArtifact, locateArtifact } from "../queue/artifacts.ts";
import { contentOf, fileNameOf, presignedUrl } from "../storage/artifact-content.ts";
import type { Part } from "../storage/bucket.ts";
import type { OutputStorage } from "../storage/output-storage.ts";
import { type Answers, pageOf } from "./answer-declarations.ts";
import { READERS, type Route, route } from "./route.ts";
import { sendList } from "./send-list.ts";

const URL_SECONDS = 3_600;
/** What a worker wrote is data: a browser saves it, and runs nothing of it should it be made to show it. */
const NEVER_EXECUTED = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; sandbox",
};

const NO_ARTIFACT = { 404: "There is no such artifact." };
const BYTES = { "*/*": "Bytes, with the media type of the artifact." };
const OF_ALL = ["Accept-Ranges", "Content-Disposition"] as const;
const CONTENT: Answers = {
  200: { means: "The whole of it.", other: BYTES, headers: ["ETag", ...OF_ALL] },
  206: { means: "The part that `Range` names.", other: BYTES, headers: ["ETag", "Content-Range", ...OF_ALL] },
  304: { means: "The client has it already.", headers: ["ETag", ...OF_ALL] },
  416: { means: "It has no such part.", headers: ["Content-Range", ...OF_ALL] },
  ...NO_ARTIFACT,
  409: "It does not lie in the configured bucket.",
  502: "The bytes are damaged or gone.",
};

/**
 * A client that takes nothing for this time is cut off. Otherwise it would hold a connection to the bucket, or rows of the database in memory, for
 * ever.
 */
const PATIENCE_MS = 300_000;

/**
 * Reading a larger artifact takes a turn, four at a time, each key in its turn. An artifact in a bucket is read and hashed whole before its first
 * byte is sent, also where one byte is asked for; one in PostgreSQL keeps its turn until its first piece is there. 1,600 requests for an artifact of
 * 200 MB let the service answer nothing else for 20 s. A HEAD, and a smaller artifact, take a turn only if the row has no size, since the whole must
 * then be read.
 */
const SMALL_BYTES = 256 * 1024;
const TURNS = { atOnce: 4, ofOne: 100, ofAll: 1_000 };
const TURN_WITHIN_MS = 30_000;

/** `/api/runtime/artifacts`: what tasks have brought forth. There is no call that changes an artifact. `patienceMs` is for tests. */
export function artifactRoutes(store: OutputStorage, log: Logger, { patienceMs = PATIENCE_MS } = {}): Route[] {
  const turns = openFairTurns(
    TURNS,
    () => new Unavailable("Too many large artifacts are being read now. Try again shortly."),
  );
  return [
    route({
      name: "listArtifacts",
      summary: "List artifacts",
      method: "get",
      path: "/api/runtime/artifacts",
      access: READERS,
      query: queries.artifactFilter,
      answers: pageOf(wholeOrSlim(artifactRecord, slimArtifactRecord), "The artifacts, newest first."),
      handle: ({ request, response, db, query }) => {
        const { limit, after, fields, ...filter } = query();
        return sendList(request, response, db, artifactsOf(filter, fields === "slim"), { limit, after });
      },
    }),
    route({
      name: "getArtifact",
      summary: "Read an artifact",
      method: "get",
      path: "/api/runtime/artifacts/:id",
      access: READERS,
      answers: { 200: { means: "The artifact.", json: artifactRecord }, ...NO_ARTIFACT },
      handle: async ({ response, db, params }) => response.json(await getArtifact(db, params.id)),
    }),
    route({
      name: "getArtifactContent",
      summary: "Read the bytes of an artifact",
      method: "get",
      path: "/api/runtime/artifacts/:id/content",
      access: READERS,
      headers: ["Range", "If-None-Match", "If-Range"],
      answers: CONTENT,
      handle: async ({ request, response, db, caller, params }) => {
        const artifact = await locateArtifact(db, params.id);
        const headers = {
          ...NEVER_EXECUTED,
          "Accept-Ranges": "bytes",
          "Content-Disposition": `attachment; filename="${fileNameOf(artifact)}"`,
        };
        if (artifact.sha256 !== null) {
          response.set("ETag", `"${artifact.sha256}"`);
          if (request.fresh) return void response.status(304).set(headers).end();
          response.removeHeader("ETag");
        }

        const gone = new AbortController();
        response.once("close", () => gone.abort());
        const content = contentOf(db, store, artifact);
        const isHead = request.method === "HEAD";
        let pieces: AsyncGenerator<Buffer> | undefined;
        let endTurn = () => {};
        try {
          const takesTurn = !content.stated || (!isHead && content.stated.sizeBytes > SMALL_BYTES);
          if (takesTurn) endTurn = await turns.take(askerOf(caller), TURN_WITHIN_MS);
          gone.signal.throwIfAborted();
          const facts = content.stated ?? (await content.verify(gone.signal));
          const { sizeBytes, sha256 } = facts;
          const part = partOf(request, `"${sha256}"`, sizeBytes);
          if (part === "unsatisfiable")
            return void response
              .status(416)
              .set({ ...headers, "Content-Range": `bytes */${sizeBytes}` })
              .end();
          // In PostgreSQL a trigger keeps the bytes as they are. To read 60 MB of them first would take 2 s of processor time.
          if (content.stated && content.isInBucket && !isHead) await content.verify(gone.signal);
          pieces = content.open(facts, part, gone.signal);
          // What fails before the first byte is still answered.
          const first = isHead ? undefined : await pieces.next();
          endTurn();

          response.set({ ...headers, ETag: `"${sha256}"`, "Content-Type": content.contentType });
          if (part) response.status(206).set("Content-Range", rangeOf(part, sizeBytes));
          response.set("Content-Length", String(part?.length ?? sizeBytes));
          if (!first || first.done) return void response.end();
          response.setTimeout(patienceMs, () => response.destroy());
          await pipeline(Readable.from(startingWith(first.value, pieces)), response);
        } catch (error) {
          if (!gone.signal.aborted && !response.headersSent) throw error;
          // The status was sent already. The client sees by the cut connection that the content is not whole.
          const level = gone.signal.aborted ? "debug" : "warn";
          const { requestId } = caller;
          log[level]({ artifact: artifact.id, reason: messageOf(error), requestId }, "an artifact was sent in part");
          response.destroy();
        } finally {
          endTurn();
          await pieces?.return(undefined);
        }
      },
    }),
    route({
      name: "getArtifactUrl",
      summary: "Make an address at which anybody may read an artifact",
      method: "get",
      path: "/api/runtime/artifacts/:id/url",
      access: READERS,
      query: queries.artifactUrl,
      answers: {
        200: { means: "The address.", json: artifactAddress },
        ...NO_ARTIFACT,
        409: "It lies in PostgreSQL, or in another bucket.",
      },
      handle: async ({ response, db, params, query }) => {
        const { expires_seconds = URL_SECONDS } = query();
        const url = await presignedUrl(store, await locateArtifact(db, params.id), expires_seconds);
        response.json({ url, expires_seconds });
      },
    }),
  ];
}

/** The part that the client asks for. Undefined: it gets the whole, also when it asks for several parts, or for a part of another version. */
function partOf(request: Request, etag: string, sizeBytes: number): Part | "unsatisfiable" | undefined {
  const version = request.get("if-range");
  if (sizeBytes === 0 || (version !== undefined && version !== etag)) return undefined;
  const ranges = request.range(sizeBytes, { combine: true });
  if (ranges === -1) return "unsatisfiable";
  if (ranges === undefined || ranges === -2 || ranges.type !== "bytes") return undefined;
  const [range, ...others] = ranges;
  return range && others.length === 0 ? { start: range.start, length: range.end - range.start + 1 } : undefined;
}

const rangeOf = ({ start, length }: Part, sizeBytes: number) => `bytes ${start}-${start + length - 1}/${sizeBytes}`;

async function* startingWith(first: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* rest;
}
