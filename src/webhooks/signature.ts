import { createHmac } from "node:crypto";
import { secretBytes } from "../webhook-secret.ts";

/** What is sent: its id, when it is sent (epoch seconds), and the body. */
export interface Message {
  id: string;
  sentAt: number;
  body: string;
}

/** The headers of a message that is signed with each of the secrets: a receiver that knows one of them can check it. */
export function signedHeaders({ id, sentAt, body }: Message, secrets: readonly string[]): Record<string, string> {
  const signatures = secrets.map((secret) => {
    const mac = createHmac("sha256", secretBytes(secret)).update(`${id}.${sentAt}.${body}`);
    return `v1,${mac.digest("base64")}`;
  });
  return { "webhook-id": id, "webhook-timestamp": String(sentAt), "webhook-signature": signatures.join(" ") };
}
