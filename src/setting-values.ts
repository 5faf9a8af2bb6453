/** The kinds of values that settings have, as schemas. The fault of each says in a sentence what the value must be. */
import { z } from "zod";
import { HTTP_URL, isHttpUrl, parseAllowed } from "./callable-addresses.ts";
import { InvalidAddress, serverAddresses } from "./db/server-addresses.ts";
import { isSecret, SECRET_RULE } from "./webhook-secret.ts";

export const wholeNumber = (min: number, max: number, fallback: number) =>
  z.coerce.number().int().min(min).max(max).default(fallback);

/** How many processes serve: from 1 to 64, or `auto`. */
export const processCount = z
  .string()
  .regex(/^(auto|[1-9]|[1-5][0-9]|6[0-4])$/, "must be a whole number from 1 to 64, or auto")
  .default("1");

/** A share, such as 0.95. */
export const share = (fallback: number) =>
  z.coerce
    .number("must be a number from 0 to 1")
    .min(0, "must be 0 or more")
    .max(1, "must be 1 or less")
    .default(fallback);

/** A number of days, also a part of one, for which something is kept; 0 is for ever. */
export const daysKept = z.coerce
  .number("must be a number of days")
  .min(0, "must be 0 or more")
  .max(36_500, "must be 36500 or less")
  .default(0);

/** The name of a region of an object store. */
export const region = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, "must be the name of a region, such as us-east-1")
  .default("us-east-1");

/** A key that is sent as an HTTP header, which carries only printable ASCII. */
export const headerValue = z.string().regex(/^[\x21-\x7e]+$/, "must be printable ASCII without spaces, and not empty");

/** Headers as OpenTelemetry writes them: `name=value`, separated by commas, each value percent-encoded where it must be. */
export const headerList = z
  .string()
  .default("")
  .transform((list, context) => {
    try {
      const pairs = list.split(",").filter((pair) => pair.trim() !== "");
      const headers = pairs.map((pair): [string, string] => {
        const [name = "", ...value] = pair.split("=");
        return [name.trim(), decodeURIComponent(value.join("=").trim())];
      });
      // `Headers` throws where a name or a value cannot be that of a header.
      return Object.fromEntries(new Headers(headers));
    } catch {
      context.addIssue({ code: "custom", message: "must be headers such as api-key=abc,tenant=garden" });
      return z.NEVER;
    }
  });

/** A caller's key, which may have spaces inside: HTTP cuts off only those at the ends of a header's value. */
export const keyValue = z
  .string()
  .regex(
    /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/,
    "must be printable ASCII, since nothing else travels in an HTTP header",
  );

/** One or several servers, as libpq writes them. */
export const databaseUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, { error: "must begin with postgresql://", abort: true })
  .superRefine((url, context) => {
    try {
      serverAddresses(url);
    } catch (error) {
      if (!(error instanceof InvalidAddress)) throw error;
      context.addIssue({ code: "custom", message: error.message });
    }
  });

/** A host name may have underscores, since Docker Compose makes such names. */
export const hostName = z
  .string()
  .regex(/^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?\.?$/, "must be a host name without http:// and port");

export const bindAddress = z
  .string()
  .regex(/^[A-Za-z0-9_.:%-]+$/, "must be an address of this machine, such as 127.0.0.1 or ::1, or a name of it");

export const bucketName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
    "must be a bucket name: 3 to 63 small letters, digits, dots and hyphens",
  );

/** Host names and networks, separated by commas, as `parseAllowed` gives them. */
export const allowedAddresses = z.string().transform((list, context) => {
  const allowed = parseAllowed(list);
  if (!allowed) context.addIssue("must be host names and networks such as 10.0.0.0/8, separated by commas");
  return allowed ?? z.NEVER;
});

export const webhookSecret = z.string().refine(isSecret, SECRET_RULE);

export const httpUrl = z.string().refine(isHttpUrl, HTTP_URL);

export const origins = z
  .string()
  .default("")
  .transform((list) =>
    list
      .split(",")
      .map((origin) => origin.trim())
      .filter(Boolean),
  )
  .refine((list) => list.every((origin) => isHttpUrl(origin) && new URL(origin).origin === origin), {
    message: "must be origins such as https://garden.example, separated by commas",
  });

/** The settings keys with the white space around them, as earlier versions used them: settings may be encrypted with such a key. */
export function untrimmed({ SETTINGS_KEY, SETTINGS_KEY_PREVIOUS }: Record<string, string | undefined>): string[] {
  return [SETTINGS_KEY, SETTINGS_KEY_PREVIOUS].filter((key): key is string => key !== undefined && key.trim() !== key);
}
