import type { Dispatcher } from "undici";
import { countAnswerParts } from "../answer-parts.ts";

/**
 * Breaks off a call, and its connection, when its answer comes in too many parts (answer-parts.ts). Informational answers are not
 * handed on: `fetch` ignores them, and undici would pause the answer behind one.
 */
export const boundAnswerParts: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  const parts = countAnswerParts();
  let excess: Error | undefined;
  return dispatch(options, {
    onRequestStart: (controller, context) => handler.onRequestStart?.(controller, context),
    onRequestUpgrade: (...upgrade) => handler.onRequestUpgrade?.(...upgrade),
    onResponseStart(controller, status, headers, message) {
      if (status >= 200) return handler.onResponseStart?.(controller, status, headers, message);
      excess ??= parts.addInformational();
      if (excess) controller.abort(excess);
    },
    onResponseData(controller, chunk) {
      if (!excess) {
        excess = parts.addChunk(chunk.length);
        // A `fetch` that is ended in the turn of the event loop in which its answer began hangs for ever.
        if (excess) setImmediate((why: Error) => controller.abort(why), excess);
      }
      if (excess) controller.pause();
      else handler.onResponseData?.(controller, chunk);
    },
    onResponseEnd: (controller, trailers) => handler.onResponseEnd?.(controller, trailers),
    onResponseError: (controller, error) => handler.onResponseError?.(controller, error),
  });
};
