/** What a command has of the world, so that it can be tested without a process. */
export interface CommandIo {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
}

/** 2 is for wrong usage, as with most tools. */
export const ExitCode = { ok: 0, failed: 1, usage: 2 } as const;
