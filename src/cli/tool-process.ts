import process from "node:process";
import { isatty } from "node:tty";
import { realHost } from "../host/real/host.ts";
import { errorCode, toError } from "../lib/error.ts";
import type { CommandIo } from "./odradek/io.ts";
import { interruptExitCode, type ByteOutput, type ToolIo, type ToolRun } from "./tool-io.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Lines on this process's streams. What a reader that has gone (`| head -1`) does not take is lost, and no failure:
 * without a listener it would end the process with a stack.
 */
export function processIo(): CommandIo {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
  };
}

/**
 * Runs a command on this process's streams and resolves with its exit code. The first SIGINT or SIGTERM asks it to end,
 * the second one ends the process.
 */
export async function withToolIo(run: ToolRun): Promise<number> {
  const { err } = processIo();
  const interrupt = new AbortController();
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (interrupt.signal.aborted) process.exit(interruptExitCode(interrupt.signal));
      interrupt.abort(signal);
    });
  }
  return run({
    host: realHost({ logLevel: "silent" }),
    input: process.stdin as AsyncIterable<Buffer>,
    output: streamOutput(process.stdout),
    err,
    interrupt: interrupt.signal,
    interactive: isatty(0) && isatty(1),
  });
}

/** The same for one of Kafka's scripts, which then ends: input that nobody reads any more must not hold it. */
export async function runTool(run: (argv: readonly string[], io: ToolIo) => Promise<number>): Promise<never> {
  try {
    process.exit(await withToolIo((io) => run(process.argv.slice(2), io)));
  } catch (thrown) {
    const error = toError(thrown);
    process.stderr.write(`${errorCode(error) === undefined ? (error.stack ?? error.message) : error.message}\n`);
    process.exit(1);
  }
}

function streamOutput(stream: NodeJS.WriteStream): ByteOutput {
  let open = true;
  stream.on("error", () => {
    open = false;
  });
  return {
    write: (bytes) =>
      open
        ? new Promise((done) => {
            stream.write(bytes, (error) => done(error === undefined || error === null));
          })
        : Promise.resolve(false),
  };
}
