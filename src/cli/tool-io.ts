import type { Host } from "../host/host.ts";

/** What a command that reads or writes streams has of the world, so that it can be tested without a process. */
export interface ToolIo {
  readonly host: Host;
  readonly input: AsyncIterable<Buffer>;
  readonly output: ByteOutput;
  readonly err: (line: string) => void;
  /** Aborted, with the signal's name as the reason, when the user wants it to end. */
  readonly interrupt: AbortSignal;
  /** Whether somebody sits at both ends. */
  readonly interactive: boolean;
}

/** A command, given its streams; resolves with its exit code. */
export type ToolRun = (io: ToolIo) => Promise<number>;

export interface ByteOutput {
  /** One at a time. Resolves when more may come; false: nobody reads any more. */
  write(bytes: Buffer): Promise<boolean>;
}

/** As shells count a process that a signal has ended. */
export function interruptExitCode({ reason }: AbortSignal): number {
  return reason === "SIGTERM" ? 143 : 130;
}

/** The promise's outcome, or undefined as soon as the signal aborts. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const give = (): void => resolve(undefined);
    if (signal.aborted) give();
    else signal.addEventListener("abort", give, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", give));
  });
}

/** What comes until the signal aborts, even while nothing comes. */
export async function* untilAborted<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void, undefined> {
  const iterator = items[Symbol.asyncIterator]();
  for (;;) {
    const next = await unlessAborted(iterator.next(), signal);
    if (next === undefined || next.done === true) return;
    yield next.value;
  }
}
