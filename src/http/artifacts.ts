import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Request, type Response, Router } from "express";
import type { Logger } from "pino";
import * as queries from "../contract/queries.ts";
import type { Db } from "../db/client.ts";
import { messageOf } from "../errors.ts";
import { artifactsOf, getArtifact } from "../queue/artifacts.ts";
import type { Part } from "../storage/bucket.ts";
import type { ArtifactStore } from "../storage/place.ts";
import { fileNameOf, presignedUrl, verifiedContent } from "../storage/read.ts";
import { queryOf } from "./input.ts";
import { sendList } from "./lists.ts";

const URL_SECONDS = 3_600;
/** What a worker wrote is data: a browser saves it, and runs nothing of it should it be made to show it. */
const NEVER_EXECUTED = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; sandbox",
};

/** `/api/runtime/artifacts`: what tasks have brought forth. There is no call that changes an artifact. */
export function artifactRoutes(db: Db, store: ArtifactStore, log: Logger): Router {
  const router = Router();

  router.get("/", async (request, response) => {
    const { task_id: taskId, ...page } = queryOf(queries.artifactFilter, request);
    await sendList(request, response, db, artifactsOf(taskId), page);
  });

  router.get("/:id", async (request, response) => {
    response.json(await getArtifact(db, request.params.id));
  });

  router.get("/:id/content", async (request, response) => {
    const artifact = await getArtifact(db, request.params.id);
    response.set({
      ...NEVER_EXECUTED,
      "Accept-Ranges": "bytes",
      "Content-Disposition": `attachment; filename="${fileNameOf(artifact)}"`,
    });
    if (artifact.sha256 !== null) response.set("ETag", `"${artifact.sha256}"`);
    if (artifact.sha256 !== null && request.fresh) return void response.status(304).end();

    const content = await verifiedContent(db, store, artifact);
    response.set({ ETag: `"${content.sha256}"`, "Content-Type": content.contentType });
    const part = partOf(request, response, content.sizeBytes);
    if (part === "unsatisfiable")
      return void response.status(416).set("Content-Range", `bytes */${content.sizeBytes}`).end();
    if (part) response.status(206).set("Content-Range", rangeOf(part, content.sizeBytes));
    response.set("Content-Length", String(part?.length ?? content.sizeBytes));
    if (request.method === "HEAD") return void response.end();
    try {
      await pipeline(Readable.from(await content.open(part)), response);
    } catch (error) {
      // The status is sent: that the connection ends before the last byte is what tells the client.
      const gone = request.socket.destroyed;
      log[gone ? "debug" : "warn"]({ artifact: artifact.id, reason: messageOf(error) }, "an artifact was sent in part");
      response.destroy();
    }
  });

  router.get("/:id/url", async (request, response) => {
    const { expires_seconds = URL_SECONDS } = queryOf(queries.artifactUrl, request);
    const url = await presignedUrl(store, await getArtifact(db, request.params.id), expires_seconds);
    response.json({ url, expires_seconds });
  });

  return router;
}

/** The one part that the client asks for. Of several parts, and of a version that has changed, it gets the whole. */
function partOf(request: Request, response: Response, sizeBytes: number): Part | "unsatisfiable" | undefined {
  const version = request.get("if-range");
  if (sizeBytes === 0 || (version !== undefined && version !== response.get("etag"))) return undefined;
  const ranges = request.range(sizeBytes, { combine: true });
  if (ranges === -1) return "unsatisfiable";
  if (ranges === undefined || ranges === -2 || ranges.type !== "bytes") return undefined;
  const [range, ...others] = ranges;
  return range && others.length === 0 ? { start: range.start, length: range.end - range.start + 1 } : undefined;
}

const rangeOf = ({ start, length }: Part, sizeBytes: number) => `bytes ${start}-${start + length - 1}/${sizeBytes}`;
