/**
 * The fields of a worker's calls as a form or a query has them, for shells and curl: names and texts. They become the call's JSON body, which the
 * call's schema then checks like any other. A text that should be a number and is none stays a text here, and that schema refuses it.
 */
type Kind = "text" | "number" | "flag" | "list";

export interface FormCall {
  fields: Record<string, Kind>;
  /** Fields that lie in an object of that name in the JSON body. */
  inner?: { name: string; fields: string[] };
  /**
   * The field whose value is the body, where that is text. `exact`: it may be as large as a body in JSON, and what is no text in UTF-8 is refused.
   * `shown`: it has 100 KB at most, and bytes that are no text are replaced.
   */
  text?: { field: string; as: "exact" | "shown" };
}

/** Fields that lie in objects of their own in the JSON body. */
const METRICS = {
  duration_ms: "number",
  tokens_used: "number",
  model: "text",
  provider: "text",
  input_tokens: "number",
  output_tokens: "number",
  cache_read_tokens: "number",
  cache_write_tokens: "number",
  cost_usd: "number",
  num_turns: "number",
  session_id: "text",
  denied_tools: "list",
} as const;
const CAPABILITIES = { claude_cli: "flag", max_concurrency: "number", labels: "list" } as const;

export const FORM_CALLS = {
  claim: {
    fields: {
      worker_id: "text",
      max_tasks: "number",
      wait_seconds: "number",
      ttl_seconds: "number",
      agent_slugs: "list",
    },
  },
  heartbeat: { fields: { lease_id: "text", progress: "number" } },
  release: { fields: { lease_id: "text", reason: "text", started: "flag" } },
  complete: {
    fields: {
      status: "text",
      cli: "text",
      exit_code: "number",
      output: "text",
      output_id: "text",
      error_message: "text",
      ...METRICS,
      error_kind: "text",
      resets_at: "number",
      retry_after_ms: "number",
      partial_output: "text",
      artifact_type: "text",
      artifact_tags: "list",
      retryable: "flag",
      lease_id: "text",
    },
    inner: { name: "metrics", fields: Object.keys(METRICS) },
    text: { field: "output", as: "exact" },
  },
  register: {
    fields: {
      name: "text",
      url: "text",
      status: "text",
      ...CAPABILITIES,
      ip_addrs: "list",
      agent_version: "text",
      os_info: "text",
      install_method: "text",
      boot_id: "text",
      account: "text",
    },
    inner: { name: "capabilities", fields: Object.keys(CAPABILITIES) },
  },
  stream: { fields: { lease_id: "text", seq: "number", text: "text" }, text: { field: "text", as: "shown" } },
  rest: { fields: { reason: "text", seconds: "number" } },
} satisfies Record<string, FormCall>;

export type FormCallName = keyof typeof FORM_CALLS;

/** The field whose value is this call's body of text; undefined: the call takes no such body. */
export function textOf(call: FormCallName): FormCall["text"] {
  return (FORM_CALLS[call] as FormCall).text;
}

/** The fields of a query or a form. A name that came more than once has a list. */
export type Given = Record<string, unknown>;

/** The names in `given` that the call does not have. */
export function unknownFields(call: FormCallName, given: Given): string[] {
  return Object.keys(given).filter((name) => !Object.hasOwn(FORM_CALLS[call].fields, name));
}

/** The JSON body that `given` stands for. Names that the call does not have are left out. */
export function bodyFromFields(call: FormCallName, given: Given): Record<string, unknown> {
  const { fields, inner }: FormCall = FORM_CALLS[call];
  const body: Record<string, unknown> = {};
  const innerBody: Record<string, unknown> = {};
  for (const [name, kind] of Object.entries(fields)) {
    if (!Object.hasOwn(given, name)) continue;
    const target = inner?.fields.includes(name) ? innerBody : body;
    target[name] = convert(kind, given[name]);
  }
  return inner && Object.keys(innerBody).length > 0 ? { ...body, [inner.name]: innerBody } : body;
}

/** A list has an item for each time that its name came. An empty text is no item, so that `labels=` says "no labels". */
function convert(kind: Kind, given: unknown): unknown {
  if (kind === "list") return [given].flat().filter((item) => item !== "");
  if (typeof given !== "string") return given;
  if (kind === "flag" && (given === "true" || given === "false")) return given === "true";
  if (kind === "number" && given.trim() !== "" && Number.isFinite(Number(given))) return Number(given);
  return given;
}
