import { spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The environment for children: without the variable that costs Node 20 some 40 ms a start. */
export function childEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _dropped, ...rest } = process.env;
  return { ...rest, ...extra };
}

/** Removing it bears with a process that was killed a moment ago and whose last file appears meanwhile (ENOTEMPTY). */
export function temporaryDirectory(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "odradek-test-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 10 }) };
}

/** Below those that systems give to outgoing connections, so that none of them takes the port while its server is down. */
const [PORT_MIN, PORT_MAX] = [10_000, 32_000];

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORT_MIN, PORT_MAX);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.on("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. `input` goes to its standard input. */
export function run(command: string, args: readonly string[], options: { readonly input?: string | Buffer; readonly timeoutMs?: number; readonly cwd?: string } = {}): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: childEnvironment(), stdio: "pipe", ...(options.cwd === undefined ? {} : { cwd: options.cwd }) });
    const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? 30_000);
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, ...output });
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input);
  });
}

export interface ServerOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with each whole line of either output. */
  readonly onLine?: (line: string) => void;
}

/** A server process with what it has printed. */
export class ServerProcess {
  readonly child: ChildProcess;
  readonly #exited: Promise<number | null>;
  output = "";

  constructor(command: string, args: readonly string[], options: ServerOptions = {}) {
    this.child = spawn(command, args, { env: childEnvironment(options.env), stdio: ["ignore", "pipe", "pipe"], ...(options.cwd === undefined ? {} : { cwd: options.cwd }) });
    const { onLine } = options;
    for (const stream of [this.child.stdout, this.child.stderr]) {
      let rest = "";
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
        if (onLine === undefined) return;
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) onLine(line);
      });
    }
    this.#exited = new Promise((resolve, reject) => {
      this.child.on("error", reject);
      this.child.on("close", resolve);
    });
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Resolves with the exit code; null after a signal. */
  ended(): Promise<number | null> {
    return this.#exited;
  }

  /** The same, after it was sent a signal. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    if (this.running) this.child.kill(signal);
    return this.#exited;
  }
}

/** Waits until `condition` gives something, asking every 20 ms, for at most 30 s; whoever allows more says why. */
export async function eventually<T>(what: string, condition: () => Promise<T | undefined | false> | T | undefined | false, withinMs = 30_000): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`not within ${withinMs / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
