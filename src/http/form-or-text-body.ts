import { isUtf8 } from "node:buffer";
import { promisify } from "node:util";
import express, { type Request, type RequestHandler } from "express";
import { bytesInJson } from "../bytes-in-json.ts";
import {
  bodyFromFields,
  FORM_CALLS,
  type FormCallName,
  type Given,
  textOf,
  unknownFields,
} from "../contract/form-fields.ts";
import { Refusal } from "../errors.ts";
import { storable } from "../storable-text.ts";
import { type BodyLimits, reserveBody, SHORT_BODY_BYTES } from "./json-body.ts";
import { InvalidValue } from "./parse-request.ts";

/** Twice as many as a completion with all its tags. */
const MOST_FIELDS = 2_000;
const TEXT = "text/plain";
const FORM = "application/x-www-form-urlencoded";

/** 413: in JSON the text takes more than twice the bytes of the largest body. A text of quotes alone takes twice its own bytes. */
class TooLargeInJson extends Refusal {
  readonly status = 413;
}

/** Makes the handler that reads a call's body where that is a form or a text. */
export type FormOrTextBody = (call: FormCallName) => RequestHandler;

/**
 * Lets a worker's calls be made without JSON: their fields as query parameters or as a form, and an output as a body of text. All of it
 * becomes the body that JSON would have been. Every other call, and every body in JSON, is left to the route's own reader.
 *
 * Protects against other sites' pages (CSRF): browsers send forms without asking, but with an `Origin`. A request with one is left to that reader,
 * too.
 */
export function createFormOrTextBody(limits: Required<BodyLimits>): FormOrTextBody {
  const reader = (limit: number) => promisify(express.raw({ limit, type: () => true }));
  const [readLarge, readSmall] = [reader(limits.maxBytes), reader(SHORT_BODY_BYTES)];
  return (call) => async (request, response, next) => {
    const type = request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
    const query = queryTextOf(request);
    const text = textOf(call);
    const isText = type === TEXT && text !== undefined;
    const isFields = type === FORM || (type === undefined && query !== "");
    if (!(isText || isFields) || request.headers.origin !== undefined) return next();
    const isLong = text?.as === "exact";
    if (isLong) await reserveBody(limits, request, response);
    await (isLong ? readLarge : readSmall)(request, response);
    const bytes: Buffer = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const given = fieldsIn([query, ...(isText ? [] : [withSpaces(bytes).toString()])]);
    const body = knownFields(call, given);
    const isBodyMeant = isText && (bytes.length > 0 || given.output_id === undefined);
    request.body = isBodyMeant
      ? { ...body, [text.field]: isLong ? exactText(bytes, 2 * limits.maxBytes) : shownText(bytes) }
      : body;
    next();
  };
}

function queryTextOf({ url }: Request): string {
  const at = url.indexOf("?");
  return at < 0 ? "" : url.slice(at + 1);
}

/**
 * The fields in these queries and forms. A name that comes more than once has a list. Throws InvalidValue when there are more fields than
 * any call has.
 */
function fieldsIn(texts: string[]): Given {
  const given: Given = Object.create(null);
  for (const text of texts) {
    if (separatorsIn(text) > MOST_FIELDS) throw new InvalidValue(`There are more than ${MOST_FIELDS} fields.`);
    for (const [name, value] of new URLSearchParams(text))
      given[name] = name in given ? [given[name], value].flat() : value;
  }
  return given;
}

const [PLUS, SPACE] = [0x2b, 0x20];

/**
 * The form with a space in place of each `+`, which means a space there. The bytes are changed in place. For 10 MB of `+`, URLSearchParams takes a
 * second, in which nothing else is answered; this and URLSearchParams without them take 0.1 s. `replaceAll` in the text takes two seconds.
 */
function withSpaces(form: Buffer): Buffer {
  for (let at = 0; at < form.length; at += 1) if (form[at] === PLUS) form[at] = SPACE;
  return form;
}

/** The number of separators, which is counted before the fields are made: a body of separators alone would be millions of fields. */
function separatorsIn(text: string): number {
  let count = 0;
  for (let at = text.indexOf("&"); at >= 0 && count <= MOST_FIELDS; at = text.indexOf("&", at + 1)) count += 1;
  return count;
}

/** The body that these fields make. Throws InvalidValue for a name that the call does not have. */
function knownFields(call: FormCallName, given: Given): Record<string, unknown> {
  const unknown = unknownFields(call, given);
  if (unknown.length === 0) return bodyFromFields(call, given);
  const known = Object.keys(FORM_CALLS[call].fields).join(", ");
  throw new InvalidValue(`This call has no field ${unknown.join(", ")}. Its fields are: ${known}.`);
}

const UPLOAD_IT = "Upload it as it is (PUT .../output), and name it as output_id.";

/**
 * Throws InvalidValue when the bytes cannot be stored as text, and TooLargeInJson where that takes more than `mostInJson` bytes in JSON, in which
 * answers carry it.
 */
function exactText(bytes: Buffer, mostInJson: number): string {
  if (!isUtf8(bytes) || bytes.includes(0))
    throw new InvalidValue(`The output is not text in UTF-8, or has NUL characters. ${UPLOAD_IT}`);
  const text = bytes.toString("utf8");
  if (bytesInJson(text) <= mostInJson) return text;
  throw new TooLargeInJson(`The output has so many control characters that it is too large in JSON. ${UPLOAD_IT}`);
}

/** The bytes as text to look at: what cannot be shown or stored is replaced. */
const shownText = (bytes: Buffer) => storable(bytes.toString("utf8"));
