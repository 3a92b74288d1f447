/** An operational failure: `code` for programs, the message for people (what is wrong, where, what to do). */
export class OperationalError extends Error {
  override readonly name: string = "OperationalError";
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** What the system refused, in words that say what to do. */
const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full: make room on it",
  EDQUOT: "the quota of this user is used up: make room, or raise it",
  EROFS: "the disk is mounted read-only: mount it for writing",
  EACCES: "this user may not do that: for a file, see to its owner and mode",
  EPERM: "this user may not do that: for a file, see to its owner and mode",
  EIO: "the disk fails: replace it",
  ENOTDIR: "something else is where a directory should be: move it away, or name another path",
  EEXIST: "something else is where a directory should be: move it away, or name another path",
};

/** Whether it is of the kind that says itself what is wrong: an OperationalError, or what the system refused. */
export function isOperational(error: Error): boolean {
  return error instanceof OperationalError || errorCode(error)?.startsWith("ERR_") === false;
}

/** The message, and where it is the system's, what it means and what to do. */
export function plainMessage(error: Error): string {
  const advice = error instanceof OperationalError ? undefined : ADVICE[errorCode(error) ?? ""];
  return advice === undefined ? error.message : `${error.message} (${advice})`;
}

export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
