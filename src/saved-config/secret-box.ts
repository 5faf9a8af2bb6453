import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";

const PREFIX = "enc:v1:";
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Encrypts settings that must not be in the database in plain text (lifecycle.md, invariant 14), with AES-256-GCM, bound to the setting's name. */
export interface SecretBox {
  seal(name: string, plain: string): string;
  /** The plain text; undefined when the value was sealed with another key, or is damaged. */
  open(name: string, sealed: string): string | undefined;
  /** True when the value was sealed with the key that `seal` uses, and not with a previous one. */
  isCurrent(name: string, sealed: string): boolean;
}

/** True for a value that `seal` made. Any other stored value is still plain text. */
export function isSealed(value: string): boolean {
  return value.startsWith(PREFIX);
}

/** Seals with `secret`, and opens values that were sealed with it or with one of the `previous` secrets. */
export function createSecretBox(secret: string, ...previous: string[]): SecretBox {
  const { seal, open } = boxOf(secret);
  const boxes = [open, ...previous.map((key) => boxOf(key).open)];
  return {
    seal,
    open: (name, sealed) => {
      for (const openWith of boxes) {
        const plain = openWith(name, sealed);
        if (plain !== undefined) return plain;
      }
      return undefined;
    },
    isCurrent: (name, sealed) => open(name, sealed) !== undefined,
  };
}

function boxOf(secret: string): Pick<SecretBox, "seal" | "open"> {
  const key = Buffer.from(hkdfSync("sha256", secret, "", "bloom-runtime settings v1", 32));
  return {
    seal(name, plain) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(name));
      const sealed = Buffer.concat([iv, cipher.update(plain, "utf8"), cipher.final(), cipher.getAuthTag()]);
      return PREFIX + sealed.toString("base64");
    },
    open(name, sealed) {
      const bytes = Buffer.from(sealed.slice(PREFIX.length), "base64");
      if (!isSealed(sealed) || bytes.length < IV_BYTES + TAG_BYTES) return undefined;
      const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, IV_BYTES))
        .setAAD(Buffer.from(name))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      try {
        return decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
      } catch {
        // The authentication failed: the value was sealed with another key.
        return undefined;
      }
    },
  };
}
