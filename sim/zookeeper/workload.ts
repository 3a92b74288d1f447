import type { Host } from "../../src/host/host.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { ZooKeeperClient, type Outcome } from "../../src/zookeeper/client/client.ts";
import { checkOp, createOp, deleteOp, OPEN_ACL, setDataOp } from "../../src/zookeeper/client/operations.ts";
import { CreateFlag, ErrorCode, type MultiOp } from "../../src/zookeeper/client/vocabulary.ts";
import type { SessionId, Zxid } from "../../src/zookeeper/protocol/ids.ts";

/** A watch that a client waits on, with what it knew when it set it. */
export interface Registration {
  readonly client: string;
  readonly session: SessionId;
  readonly kind: "data" | "exist" | "child";
  readonly path: string;
  /** What the client had seen by then. */
  readonly zxid: Zxid;
  fired: boolean;
}

export interface WorkloadOptions {
  readonly connect: string;
  readonly sessionTimeoutMs: number;
  /** Requests under way at a time. */
  readonly depth: number;
  /** Between two requests of one of them, at most. */
  readonly pauseMsMax: number;
  /** How many large znodes there are, so that a snapshot takes a while. */
  readonly ballast: number;
  /** Something was written: others may want to look. */
  readonly written: () => void;
  /** The highest zxid that this client has been shown. */
  readonly seen: () => Zxid;
}

const REGISTERS = ["/registers/a", "/registers/b", "/registers/c", "/registers/d"];
const BRANCHES = ["/tree/x", "/tree/x/y", "/tree/x/y/z", "/tree/x/w", "/tree/v", "/tree/u"];
const QUEUE_LENGTH_MAX = 12;
const BALLAST_BYTES = 24_000;
const ROOTS = ["/registers", "/tree", "/queue", "/owned", ...REGISTERS];

type Action = (worker: Worker) => Promise<unknown>;

/** A client that does what comes to its mind: every kind of request, many at a time, on a few znodes that all share. */
export class Worker {
  readonly client: ZooKeeperClient;
  readonly registrations: Registration[] = [];
  readonly name: string;
  readonly draws: Prng;
  /** Sessions that have expired under it. */
  expired = 0;
  readonly #host: Host;
  readonly #options: WorkloadOptions;
  readonly #versions = new Map<string, number>();
  #values = 0;
  #over = false;
  #lanes: Promise<unknown> = Promise.resolve();

  constructor(host: Host, name: string, draws: Prng, options: WorkloadOptions) {
    this.#host = host;
    this.name = name;
    this.draws = draws;
    this.#options = options;
    this.client = new ZooKeeperClient(host, { connect: options.connect, sessionTimeoutMs: options.sessionTimeoutMs });
    this.client.listen({ expired: () => (this.expired += 1) });
  }

  start(): void {
    this.client.start();
    this.#lanes = Promise.all(Array.from({ length: this.#options.depth }, () => this.#lane()));
  }

  /** No request begins any more; fulfilled when those under way are answered. */
  async rest(): Promise<void> {
    this.#over = true;
    await this.#lanes;
  }

  /** Writes without waiting, so that others fall behind. */
  async burst(count: number): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, (): Promise<Outcome<unknown>> => {
        const path = this.draws.pick(REGISTERS);
        return this.draws.chance(1, 8) ? this.client.sync(path) : this.client.setData(path, this.value());
      }),
    );
  }

  get ballast(): number {
    return this.#options.ballast;
  }

  load(): Buffer {
    this.#values += 1;
    return Buffer.alloc(BALLAST_BYTES, `${this.name}.${this.#values} `);
  }

  written(): void {
    this.#options.written();
  }

  /** What has been written must be seen, wherever this client is connected. */
  async look(): Promise<void> {
    if (this.#over) return;
    const path = this.draws.pick(REGISTERS);
    await Promise.all([this.client.sync(path), this.client.getData(path)]);
  }

  value(): Buffer | null {
    this.#values += 1;
    if (this.draws.chance(1, 50)) return null;
    const text = `${this.name}.${this.#values}`;
    return Buffer.from(text.padEnd(this.draws.chance(1, 20) ? this.draws.between(500, 3000) : text.length, "."));
  }

  /** What is known of its version, or what others may have made of it, or anything. */
  version(path: string): number {
    const known = this.#versions.get(path);
    if (known === undefined || this.draws.chance(1, 6)) return -1;
    return this.draws.chance(1, 8) ? known + 1 : known;
  }

  learn(path: string, version: number | undefined): void {
    if (version === undefined) this.#versions.delete(path);
    else this.#versions.set(path, version);
  }

  /** One time out of three. */
  watcher(kind: Registration["kind"], path: string): { readonly watcher: (() => void) | undefined; readonly set: () => void } {
    if (!this.draws.chance(1, 3)) return { watcher: undefined, set: () => undefined };
    let registration: Registration | undefined;
    let fired = false;
    return {
      watcher: () => {
        fired = true;
        if (registration !== undefined) registration.fired = true;
      },
      set: () => {
        const { session } = this.client;
        if (session === undefined) return;
        registration = { client: this.name, session: session.id, kind, path, zxid: this.#options.seen(), fired };
        this.registrations.push(registration);
      },
    };
  }

  async #lane(): Promise<void> {
    for (const path of ROOTS) await this.client.create(path, this.value());
    while (!this.#over) {
      await pickAction(this.draws)(this);
      await this.#pause(this.draws.below(this.#options.pauseMsMax * 1000 + 1) / 1000);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#host.timers.after(ms, resolve);
    });
  }
}

const setRegister: Action = async (worker) => {
  const path = worker.draws.pick(REGISTERS);
  const outcome = await worker.client.setData(path, worker.value(), worker.version(path));
  worker.learn(path, outcome.ok ? outcome.value.version : undefined);
  if (outcome.ok) worker.written();
};

const getData: Action = async (worker) => {
  const path = worker.draws.pick([...REGISTERS, ...BRANCHES]);
  const { watcher, set } = worker.watcher("data", path);
  const outcome = await worker.client.getData(path, watcher);
  worker.learn(path, outcome.ok ? outcome.value.stat.version : undefined);
  if (outcome.ok) set();
};

const exists: Action = async (worker) => {
  const path = worker.draws.pick(BRANCHES);
  // Before the answer nobody knows which of the two it will be.
  const here = worker.watcher("data", path);
  const outcome = await worker.client.exists(path, here.watcher);
  if (outcome.ok) here.set();
};

const existsNot: Action = async (worker) => {
  const path = worker.draws.pick(BRANCHES);
  const { watcher, set } = worker.watcher("exist", path);
  const outcome = await worker.client.exists(path, watcher);
  if (!outcome.ok && outcome.code === ErrorCode.noNode) set();
};

const getChildren: Action = async (worker) => {
  const path = worker.draws.pick(["/", "/queue", "/owned", "/tree", ...BRANCHES]);
  const { watcher, set } = worker.watcher("child", path);
  const outcome = await worker.client.getChildren(path, watcher);
  if (outcome.ok) set();
};

const syncAndGet: Action = async (worker) => {
  const path = worker.draws.pick(REGISTERS);
  const [, outcome] = await Promise.all([worker.client.sync(path), worker.client.getData(path)]);
  worker.learn(path, outcome.ok ? outcome.value.stat.version : undefined);
};

const grow: Action = async (worker) => {
  const path = worker.draws.pick(BRANCHES);
  await worker.client.create(path, worker.value(), { flags: worker.draws.chance(1, 6) ? CreateFlag.ephemeral : CreateFlag.persistent });
  worker.learn(path, 0);
};

const cut: Action = async (worker) => {
  const path = worker.draws.pick(BRANCHES);
  await worker.client.delete(path, worker.version(path));
};

const own: Action = async (worker) => {
  const path = `/owned/${worker.name}-${worker.draws.below(4)}`;
  if (worker.draws.chance(1, 3)) await worker.client.delete(path);
  else await worker.client.create(path, worker.value(), { flags: CreateFlag.ephemeral });
};

const queue: Action = async (worker) => {
  const outcome = await worker.client.getChildren("/queue");
  if (!outcome.ok) return;
  const [first, ...others] = outcome.value.children.toSorted();
  if (first !== undefined && others.length >= worker.draws.below(QUEUE_LENGTH_MAX)) await worker.client.delete(`/queue/${first}`);
  else await worker.client.create("/queue/item-", worker.value(), { flags: worker.draws.pick([CreateFlag.persistentSequential, CreateFlag.ephemeralSequential]) });
};

const several: Action = async (worker) => {
  const { draws } = worker;
  const operations = Array.from({ length: draws.between(1, 4) }, (): MultiOp => {
    const register = draws.pick(REGISTERS);
    const branch = draws.pick(BRANCHES);
    switch (draws.below(6)) {
      case 0:
        return checkOp(register, worker.version(register));
      case 1:
        return createOp(branch, worker.value());
      case 2:
        return deleteOp(branch, worker.version(branch));
      case 3:
        return createOp("/queue/many-", worker.value(), CreateFlag.persistentSequential);
      default:
        return setDataOp(register, worker.value(), worker.version(register));
    }
  });
  await worker.client.multi(operations);
};

const acls: Action = async (worker) => {
  const path = worker.draws.pick(REGISTERS);
  const outcomes: Promise<Outcome<unknown>>[] = [worker.client.setACL(path, OPEN_ACL, worker.draws.chance(1, 4) ? worker.draws.below(5) : -1), worker.client.getACL(path)];
  await Promise.all(outcomes);
};

const heave: Action = async (worker) => {
  if (worker.ballast === 0) return;
  const path = `/ballast-${worker.draws.below(worker.ballast)}`;
  const outcome = await worker.client.setData(path, worker.load());
  if (!outcome.ok && outcome.code === ErrorCode.noNode) await worker.client.create(path, worker.load());
};

const ACTIONS: readonly (readonly [weight: number, action: Action])[] = [
  [10, setRegister],
  [8, getData],
  [3, exists],
  [3, existsNot],
  [4, getChildren],
  [4, syncAndGet],
  [5, grow],
  [4, cut],
  [4, own],
  [5, queue],
  [4, several],
  [1, acls],
  [2, heave],
];

const WEIGHTS = ACTIONS.reduce((sum, [weight]) => sum + weight, 0);

function pickAction(draws: Prng): Action {
  let left = draws.below(WEIGHTS);
  for (const [weight, action] of ACTIONS) {
    if (left < weight) return action;
    left -= weight;
  }
  return setRegister;
}
