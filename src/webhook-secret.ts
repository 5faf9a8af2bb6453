/** Secrets of webhooks as the Standard Webhooks specification has them (standardwebhooks.com): `whsec_` and 24 to 64 bytes in base64. */
import { randomBytes } from "node:crypto";

const PREFIX = "whsec_";
const BYTES = 32;
const FEWEST_BYTES = 24;
const MOST_BYTES = 64;

/** A new secret of 256 random bits, as its receiver needs it. */
export const newSecret = (): string => PREFIX + randomBytes(BYTES).toString("base64");

/** The bytes that sign. */
export const secretBytes = (secret: string): Buffer => Buffer.from(secret.slice(PREFIX.length), "base64");

export const SECRET_RULE = `must be "${PREFIX}" and ${FEWEST_BYTES} to ${MOST_BYTES} bytes in base64`;

/** True for a secret that can sign. */
export function isSecret(text: string): boolean {
  if (!text.startsWith(PREFIX)) return false;
  const bytes = secretBytes(text);
  const unpadded = (base64: string) => base64.replace(/=+$/, "");
  // Buffer.from leaves out what is no base64, so that the text is compared with what was read.
  const isWhole = unpadded(bytes.toString("base64")) === unpadded(text.slice(PREFIX.length));
  return isWhole && bytes.length >= FEWEST_BYTES && bytes.length <= MOST_BYTES;
}
