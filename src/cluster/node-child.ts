import { spawn, type ChildProcess } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { openNodeLog } from "./node-log.ts";
import type { NodeOrder, NodeReport } from "./node-messages.ts";

/** A node as a supervisor needs to know it. */
export interface NodePaths {
  readonly id: number;
  readonly serverProperties: string;
  readonly zookeeperProperties: string;
  /** What its process prints. */
  readonly logFile: string;
}

export interface NodeEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What the node itself said about why it ends. */
  readonly message: string | undefined;
}

/** libuv's pool is one for both event loops of a node, and serves log reads, flushes and name look-ups. */
const UV_THREADPOOL_SIZE = "8";

/** One run of a node's process. */
export class NodeChild {
  readonly pid: number | undefined;
  readonly startedMs = performance.now();
  /** False where it ended before. */
  readonly serving: Promise<boolean>;
  readonly ended: Promise<NodeEnd>;
  readonly #child: ChildProcess;
  #brokerStopped: () => void = () => undefined;

  constructor(node: NodePaths) {
    const log = openNodeLog(node.logFile);
    const entry = fileURLToPath(new URL("./node-process.js", import.meta.url));
    const child = spawn(process.execPath, [entry, node.serverProperties, node.zookeeperProperties], { env: environment(), stdio: ["ignore", log, log, "ipc"] });
    fs.closeSync(log);
    this.#child = child;
    this.pid = child.pid;
    let message: string | undefined;
    let serves: (is: boolean) => void = () => undefined;
    this.serving = new Promise((resolve) => (serves = resolve));
    this.ended = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        serves(false);
        this.#brokerStopped();
        resolve({ code, signal, message });
      };
      child.once("exit", end);
      child.once("error", (error) => {
        message ??= error.message;
        // A process that could not be started has no exit.
        if (child.pid === undefined) end(null, null);
      });
    });
    child.on("message", (report: NodeReport) => {
      if (report.kind === "serving") serves(true);
      else if (report.kind === "broker stopped") this.#brokerStopped();
      else message = report.message;
    });
  }

  /** Resolves when its broker has left the cluster, or the process has ended. */
  async stopBroker(handOver: boolean): Promise<void> {
    const stopped = new Promise<void>((resolve) => (this.#brokerStopped = resolve));
    this.#order({ kind: "stop broker", handOver });
    await Promise.race([stopped, this.ended]);
  }

  /** Resolves when the process has ended. */
  async stopMember(): Promise<NodeEnd> {
    this.#order({ kind: "stop member" });
    return this.ended;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #order(order: NodeOrder): void {
    // One that has just died is told nothing; its end is heard.
    if (this.#child.connected) this.#child.send(order, () => undefined);
  }
}

/** Without what would cost each child time (extra certificates), or can be had once only (an inspector's port). */
function environment(): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _certificates, NODE_OPTIONS: options, ...rest } = process.env;
  const kept = options === undefined || options.includes("--inspect") ? {} : { NODE_OPTIONS: options };
  return { ...rest, ...kept, UV_THREADPOOL_SIZE: rest["UV_THREADPOOL_SIZE"] ?? UV_THREADPOOL_SIZE };
}
