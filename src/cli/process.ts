import process from "node:process";
import { errorCode, OperationalError, plainMessage, toError } from "../lib/error.ts";

/** Exit codes of Kafka's own scripts: 1 for whatever kept a server from starting or running. */
const EXIT_CODE_FAILED = 1;

/** Arguments of a server, without the two of `run-class -mark`, which are for others to see in the process list. */
export function serverArguments(argv: readonly string[]): readonly string[] {
  return argv[2] === "--no-java" ? argv.slice(4) : argv.slice(2);
}

export interface Running {
  stop(): Promise<void>;
}

/**
 * Runs a server until SIGTERM or SIGINT: then stops it and exits with 0. A failure to start is one plain line (a
 * stack only where the error is none that we foresaw) and exit code 1.
 */
export async function runServer(start: () => Promise<Running>): Promise<void> {
  let stopping = false;
  let running: Running | undefined;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    if (running === undefined) process.exit(0);
    running.stop().then(
      () => process.exit(0),
      (error: unknown) => fail(error),
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  try {
    running = await start();
  } catch (error) {
    fail(error);
  }
}

export function fail(thrown: unknown): never {
  const error = toError(thrown);
  console.error(errorCode(error) === undefined ? (error.stack ?? error.message) : plainMessage(error));
  process.exit(EXIT_CODE_FAILED);
}

export function usage(line: string): OperationalError {
  return new OperationalError("ERR_USAGE", `USAGE: ${line}`);
}

const JAVA_SETTINGS = ["KAFKA_HEAP_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_OPTS", "KAFKA_LOG4J_OPTS", "JMX_PORT", "SERVER_JVMFLAGS"];

/** Settings of a JVM that units and scripts may carry over: harmless, but said. */
export function warnOfJavaSettings(): void {
  for (const name of JAVA_SETTINGS) if (process.env[name] !== undefined) console.error(`${name} is set and has no effect: there is no JVM here`);
}
