import type { RequestHandler } from "express";

const HOST = /^[a-z0-9.-]+(:\d{1,5})?$|^\[[0-9a-f:.]+\](:\d{1,5})?$/i;

/** Sends a request that reached the proxy over http to https (301). A host that is none is refused, rather than redirected to. */
export const redirectToHttps: RequestHandler = (request, response, next) => {
  if (request.get("x-forwarded-proto") !== "http") return next();
  const host = request.get("host") ?? "";
  if (HOST.test(host)) response.redirect(301, `https://${host}${request.originalUrl}`);
  else response.status(400).json({ error: "The Host header is not a host name." });
};
