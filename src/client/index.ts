/** What the package offers. */
export {
  type ByteStream,
  type Bytes,
  type ClientOptions,
  type Next,
  NoAnswer,
  type Options,
  type Page,
  Refused,
} from "./call.ts";
export type * from "./calls.ts";
export { type Client, createClient, everyOf } from "./client.ts";
export type { Change, FollowOptions, Piece } from "./streams.ts";
