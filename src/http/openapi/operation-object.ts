import type { Schema } from "./schemas.ts";

/** The operation object of OpenAPI 3.1, as far as calls here have it. */
export interface Operation {
  operationId: string;
  summary: string;
  description: string;
  tags: string[];
  parameters: Parameter[];
  requestBody?: { required: boolean; content: Content };
  responses: Record<string, Answered>;
  security: Record<string, string[]>[];
}

export interface Content {
  [mediaType: string]: { schema: Schema; example?: unknown };
}

export interface Answered {
  $ref?: string;
  description?: string;
  headers?: Record<string, unknown>;
  content?: Content;
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required?: boolean;
  description?: string | undefined;
  schema: Schema;
}
