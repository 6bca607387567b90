import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";

/** What a stream may send before its handler has read any of it, in bytes. */
export const largestWindowBytes = 8 * 1024 * 1024;
const smallestWindowBytes = 256 * 1024;
/** What all streams together may have sent that no handler has read. */
const budgetBytes = 256 * 1024 * 1024;

export interface ReceiveWindows {
  /** A stream whose body is read as fast as its handler takes it, from now until it closes. */
  opened(stream: ServerHttp2Stream): void;
  /** Tells a new session the window of now. */
  joined(session: ServerHttp2Session): void;
}

/**
 * Node gives the window of a session back at once and that of a stream only when it is read: so a stream whose handler
 * is slow holds its whole window in memory. With many of them the window shrinks, by halves, to hold all in one budget.
 */
export function createReceiveWindows(sessions: ReadonlySet<ServerHttp2Session>): ReceiveWindows {
  let open = 0;
  let window = largestWindowBytes;

  function fit(): void {
    const share = budgetBytes / Math.max(open, 1);
    let fitting = largestWindowBytes;
    while (fitting > share && fitting > smallestWindowBytes) fitting /= 2;
    // Grows back only with room to spare, or a stream that comes and goes would change it each time.
    if (fitting === window || (fitting > window && fitting * 1.5 > share)) return;
    window = fitting;
    for (const session of sessions) announce(session);
  }
  /** One at a time: Node ends a session that owes more than ten acknowledgements, as one on a slow link soon would. */
  function announce(session: ServerHttp2Session): void {
    if (session.closed || session.destroyed || session.pendingSettingsAck) return;
    if (session.localSettings.initialWindowSize !== window) session.settings({ initialWindowSize: window });
  }

  return {
    opened(stream) {
      open++;
      stream.once("close", () => {
        open--;
        fit();
      });
      fit();
    },
    joined(session) {
      // Its own first settings are on their way, and what the window becomes while others are is told after them.
      session.on("localSettings", () => announce(session));
    },
  };
}
