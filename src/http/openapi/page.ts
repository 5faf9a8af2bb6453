import type { Document } from "./document.ts";
import { codeBlock, element, escaped, prose, table } from "./html.ts";
import type { Content, Operation } from "./operation-object.ts";
import type { Schema } from "./schemas.ts";
import { boundsText, descriptionOf, typeText } from "./type-as-html.ts";

interface Called extends Operation {
  method: string;
  path: string;
}

/** The document as a page for people: HTML that needs no script, with its style at `styleAddress`. */
export function htmlPageOf({ info, paths, components }: Document, styleAddress: string): string {
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Called => ({ method, path, ...operation })),
  );
  const groups = new Map<string, Called[]>();
  for (const call of calls) groups.set(call.tags[0] ?? "", [...(groups.get(call.tags[0] ?? "") ?? []), call]);
  const records = Object.entries(components.schemas);
  const contents = [
    ...[...groups].map(([tag, inGroup]) =>
      element("li", {}, element("a", { href: `#${tag}` }, escaped(tag)), ` ${inGroup.length}`),
    ),
    element("li", {}, `<a href="#records">records</a> ${records.length}`),
  ];
  const body = [
    element("h1", {}, escaped(info.title)),
    ...info.description.split("\n\n").map((part) => element("p", {}, prose(part))),
    element("p", {}, 'For programs: <a href="/api/runtime/openapi.json">openapi.json</a> (OpenAPI 3.1).'),
    element("nav", {}, element("ul", {}, ...contents)),
    ...[...groups].map(([tag, inGroup]) =>
      element("section", { id: tag }, element("h2", {}, escaped(tag)), ...inGroup.map(callPart)),
    ),
    element("section", { id: "records" }, "<h2>records</h2>", ...records.map(recordPart)),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${escaped(info.title)}: the calls</title>
<link rel="stylesheet" href="${escaped(styleAddress)}"></head><body>${body.join("\n")}</body></html>
`;
}

function callPart({
  operationId,
  method,
  path,
  summary,
  description,
  parameters,
  requestBody,
  responses,
}: Called): string {
  const title = `<b class="${escaped(method)}">${escaped(method.toUpperCase())}</b> <code>${escaped(path)}</code> ${prose(summary)}`;
  const asked = parameters.map((each) => [
    nameCell(each.name, each.required === true),
    escaped(each.in),
    told(each.schema, each.description),
  ]);
  return element(
    "details",
    { id: operationId },
    element("summary", {}, title),
    element("p", {}, prose(description)),
    table("Parameters", ["Name", "In", "What it is"], asked),
    ...Object.entries(requestBody?.content ?? {}).map(bodyPart),
    table("Answers", ["Status", "What it means", "Body"], Object.entries(responses).flatMap(answerRow)),
    ...Object.entries(responses)
      .slice(0, 1)
      .flatMap(([, { content }]) => examplesIn(content)),
  );
}

function bodyPart([type, { schema, example }]: [string, Content[string]]): string {
  const rows = Object.entries(schema.properties ?? {}).map(([name, inner]) => fieldRow(name, inner, schema));
  const shown = type === "application/json" && example !== undefined ? codeBlock(example) : "";
  return rows.length > 0
    ? table(`Body: ${type}`, ["Field", "Type", "What it is"], rows) + shown
    : `<h4>Body: ${escaped(type)}</h4>${element("p", {}, prose(descriptionOf(schema)))}${shown}`;
}

/** The refusals that every call may have are described once, and not beside each call. */
function answerRow([status, { $ref, description = "", content = {} }]: [
  string,
  Operation["responses"][string],
]): string[][] {
  if ($ref !== undefined) return [];
  const bodies = Object.entries(content).map(
    ([type, { schema }]) => `${typeText(schema)} <small>${escaped(type)}</small>`,
  );
  return [[escaped(status), prose(description), bodies.join("<br>")]];
}

const examplesIn = (content: Content = {}) =>
  Object.values(content).flatMap(({ example }) => (example === undefined ? [] : [codeBlock(example)]));

function recordPart([name, schema]: [string, Schema]): string {
  const rows = Object.entries(schema.properties ?? {}).map(([field, inner]) => fieldRow(field, inner, schema));
  return `<h3 id="${escaped(name)}">${escaped(name)}</h3><p>${prose(descriptionOf(schema))}</p>${table("Fields", ["Field", "Type", "What it is"], rows)}`;
}

function fieldRow(name: string, schema: Schema, { required = [] }: Schema): string[] {
  return [nameCell(name, required.includes(name)), element("code", {}, typeText(schema)), told(schema)];
}

const nameCell = (name: string, isRequired: boolean) =>
  element("code", {}, escaped(name)) + (isRequired ? "" : " <small>optional</small>");

function told(schema: Schema, description = descriptionOf(schema)): string {
  const bounds = boundsText(schema);
  return prose(description) + (bounds === "" ? "" : ` <small>${escaped(bounds)}</small>`);
}
