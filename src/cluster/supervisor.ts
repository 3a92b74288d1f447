import { must } from "../lib/assert.ts";
import { OperationalError } from "../lib/error.ts";
import { NodeChild, type NodeEnd, type NodePaths } from "./node-child.ts";
import { lastLines, readableLine, rotateNodeLog } from "./node-log.ts";

export type SupervisorEvent =
  | { readonly kind: "starting"; readonly node: number; readonly pid: number | undefined }
  | { readonly kind: "serving"; readonly node: number; readonly tookMs: number }
  /** `againMs`: it is started again after so long; undefined: not any more. */
  | { readonly kind: "died"; readonly node: number; readonly how: string; readonly againMs: number | undefined }
  | { readonly kind: "stopped"; readonly node: number };

export interface SupervisorOptions {
  readonly nodes: readonly NodePaths[];
  /** Whether a node that dies is started again. */
  readonly restarts: boolean;
  onEvent(event: SupervisorEvent): void;
}

/** Who dies sooner than that after its start has not recovered. */
const QUICK_DEATH_MS = 10_000;
/** Pauses before the next start: after a first death none, then longer and longer, then no more start. */
const PAUSES_MS = [0, 500, 1000, 2000, 5000];
const LOG_CHECK_MS = 10_000;

interface Supervised {
  readonly paths: NodePaths;
  child: NodeChild | undefined;
  /** Deaths soon after a start, one after the other. */
  quickDeaths: number;
  timer: NodeJS.Timeout | undefined;
  /** To be down: killed or stopped on request. */
  held: boolean;
}

/** Keeps the processes of a cluster's nodes: starts them, starts again who dies, and stops all in good order. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #nodes: ReadonlyMap<number, Supervised>;
  readonly #logTimer: NodeJS.Timeout;
  #phase: "starting" | "running" | "stopping" = "starting";
  /** What kept a node from its first start. */
  #failed: ((error: Error) => void) | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#nodes = new Map(options.nodes.map((paths) => [paths.id, { paths, child: undefined, quickDeaths: 0, timer: undefined, held: false }]));
    this.#logTimer = setInterval(() => {
      for (const { logFile } of options.nodes) rotateNodeLog(logFile);
    }, LOG_CHECK_MS);
    this.#logTimer.unref();
  }

  /** Process ids, by node; those that run. */
  get pids(): ReadonlyMap<number, number> {
    return new Map(Array.from(this.#nodes.values()).flatMap(({ paths, child }) => (child?.pid === undefined ? [] : [[paths.id, child.pid] as const])));
  }

  /** Resolves when every broker serves. Rejects with what kept the first node from it; nothing is left running then. */
  async start(): Promise<void> {
    const failed = new Promise<never>((_, reject) => (this.#failed = reject));
    const served = Promise.all(Array.from(this.#nodes.values(), (node) => this.#launch(node).serving));
    try {
      await Promise.race([served.then((each) => (each.every(Boolean) ? undefined : failed)), failed]);
    } catch (error) {
      await this.kill();
      throw error;
    }
    if (this.#phase === "starting") this.#phase = "running";
  }

  /** All brokers leave, one after the other, `last` as the last; then all members. */
  async stop(last?: number): Promise<void> {
    this.#phase = "stopping";
    clearInterval(this.#logTimer);
    for (const { timer } of this.#nodes.values()) clearTimeout(timer);
    const running = Array.from(this.#nodes.values()).flatMap(({ paths, child }) => (child === undefined ? [] : [{ id: paths.id, child }]));
    const order = running.toSorted((a, b) => Number(a.id === last) - Number(b.id === last));
    for (const [at, { child }] of order.entries()) await child.stopBroker(at < order.length - 1);
    await Promise.all(order.map(({ child }) => child.stopMember()));
  }

  /** Ends everything at once, in no good order. Resolves when nothing runs any more. */
  async kill(): Promise<void> {
    this.#phase = "stopping";
    clearInterval(this.#logTimer);
    for (const { timer, child } of this.#nodes.values()) {
      clearTimeout(timer);
      child?.kill("SIGKILL");
    }
    for (const { child } of this.#nodes.values()) await child?.ended;
  }

  /** Ends one node's process, which is not started again by itself. */
  async killNode(id: number, signal: NodeJS.Signals): Promise<void> {
    const node = this.#node(id);
    node.held = true;
    clearTimeout(node.timer);
    node.child?.kill(signal);
    await node.child?.ended;
  }

  /** Starts one that is down. Resolves when its broker serves. */
  async startNode(id: number): Promise<void> {
    const node = this.#node(id);
    if (node.child !== undefined) return;
    node.held = false;
    node.quickDeaths = 0;
    if (!(await this.#launch(node).serving)) throw new OperationalError("ERR_NODE", `node ${id} did not start: ${this.#lastWords(node)}`);
  }

  #node(id: number): Supervised {
    return must(this.#nodes.get(id), `node ${id}`);
  }

  #launch(node: Supervised): NodeChild {
    const { paths } = node;
    const child = new NodeChild(paths);
    node.child = child;
    this.#options.onEvent({ kind: "starting", node: paths.id, pid: child.pid });
    void this.#watch(node, child);
    return child;
  }

  async #watch(node: Supervised, child: NodeChild): Promise<void> {
    if (await child.serving) this.#options.onEvent({ kind: "serving", node: node.paths.id, tookMs: performance.now() - child.startedMs });
    const end = await child.ended;
    node.child = undefined;
    this.#onEnd(node, end, performance.now() - child.startedMs);
  }

  #onEnd(node: Supervised, end: NodeEnd, livedMs: number): void {
    const { id } = node.paths;
    if (this.#phase === "stopping" || node.held) return this.#options.onEvent({ kind: "stopped", node: id });
    const how = describeEnd(end);
    if (this.#phase === "starting") {
      this.#failed?.(new OperationalError("ERR_NODE", `node ${id} did not start: ${end.message ?? `${how}: ${this.#lastWords(node)}`}`));
      return;
    }
    const againMs = this.#options.restarts ? PAUSES_MS[livedMs < QUICK_DEATH_MS ? node.quickDeaths : 0] : undefined;
    node.quickDeaths = livedMs < QUICK_DEATH_MS ? node.quickDeaths + 1 : 1;
    this.#options.onEvent({ kind: "died", node: id, how: end.message === undefined ? how : `${how}: ${end.message}`, againMs });
    if (againMs === undefined) return;
    node.timer = setTimeout(() => this.#launch(node), againMs);
  }

  #lastWords({ paths }: Supervised): string {
    const [line] = lastLines(paths.logFile, 1);
    return line === undefined ? `see ${paths.logFile}` : `${readableLine(line)} (more in ${paths.logFile})`;
  }
}

function describeEnd({ code, signal }: NodeEnd): string {
  return signal === null ? `exit code ${code ?? "unknown"}` : `signal ${signal}`;
}
