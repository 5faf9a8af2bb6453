import { bytesInJson } from "../bytes-in-json.ts";
import type { CreateTask } from "../contract/create-task.ts";

/**
 * The size of the request as JSON, in bytes. The prompt is counted without making JSON of it, for which a prompt of 10 MB needs 20 MB of memory.
 */
export function jsonBytesOf(request: CreateTask): number {
  return Buffer.byteLength(JSON.stringify({ ...request, prompt: "" })) + bytesInJson(request.prompt);
}
