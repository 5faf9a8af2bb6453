import { connect } from "node:net";
import { text } from "node:stream/consumers";

/**
 * Sends the bytes to the service at `url` as they are, which no client has tidied up. Gives all that comes
 * back until the service ends the connection.
 */
export function sendBytes(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(bytes);
  return text(socket);
}
