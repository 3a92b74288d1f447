import type { Host } from "../../src/host/host.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { checkHistory } from "../../sim/zookeeper/check-history.ts";
import { checkSessions, checkSyncs } from "../../sim/zookeeper/check-sessions.ts";
import { WatchCheck } from "../../sim/zookeeper/check-watches.ts";
import { ClientTap } from "../../sim/zookeeper/client-tap.ts";
import { Histories } from "../../sim/zookeeper/history.ts";
import { Violation } from "../../sim/zookeeper/violation.ts";
import { Worker } from "../../sim/zookeeper/workload.ts";
import { toHex } from "../../src/zookeeper/protocol/ids.ts";
import type { Transaction } from "../../src/zookeeper/protocol/transactions.ts";
import { eventually } from "../support/processes.ts";
import { MEMBER_FILES, type ServerCluster } from "./server-cluster.ts";

const CLIENTS = 3;
const SESSION_MS = 5000;

export interface ZnodesOutcome {
  readonly transactions: number;
  readonly answers: number;
  readonly watchEvents: number;
}

/** The simulation's clients of an ensemble, and its judgement, on real processes. Brokers use the same ensemble: what they do is taken as it is. */
export class ZnodesWork {
  readonly #cluster: ServerCluster;
  readonly #tap = new ClientTap({
    get nowMs() {
      return performance.now();
    },
  });
  readonly #workers: readonly Worker[];

  constructor(cluster: ServerCluster, host: Host, draws: Prng) {
    this.#cluster = cluster;
    this.#workers = Array.from({ length: CLIENTS }, (_, index) => {
      const name = `zclient${index + 1}`;
      return new Worker(this.#tap.wrap(host, name), name, draws.fork(name), {
        connect: cluster.zookeeperConnect,
        sessionTimeoutMs: SESSION_MS,
        depth: 3,
        pauseMsMax: 15,
        ballast: 4,
        written: () => void this.#workers[(index + 1) % CLIENTS]?.look(),
        seen: () => this.#tap.seenBy(name),
      });
    });
  }

  begin(): void {
    for (const worker of this.#workers) worker.start();
  }

  get answers(): number {
    return this.#tap.transcripts.reduce((sum, { heard }) => sum + heard.length, 0);
  }

  /** Every client is answered. */
  async together(): Promise<void> {
    const heardBy = ({ name }: Worker): number => this.#tap.transcripts.filter(({ client }) => client === name).reduce((sum, { heard }) => sum + heard.length, 0);
    const before = this.#workers.map((worker) => heardBy(worker));
    await eventually("every client of the ensemble is answered", () => this.#workers.every((worker, index) => heardBy(worker) >= (before[index] ?? 0) + 20));
  }

  async rest(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.rest()));
    await Promise.all(this.#workers.map((worker) => worker.client.close()));
  }

  /** Once all members have stopped, one perhaps before the last transaction: one history, and everything that anybody saw follows from it. */
  check(): ZnodesOutcome {
    const members = this.#cluster.servers.map((id) => ({ id, files: this.#cluster.files(id), logs: MEMBER_FILES, snapshots: MEMBER_FILES }));
    const disks = new Histories(members);
    // A member whose proposal nobody else has gets a snapshot from the next epoch's leader; the proposal stays in its log.
    disks.snapshotsOnDisk();
    const histories = [...disks.all()];
    const history = longest(histories.map(([, each]) => each));
    for (const [id, other] of histories) {
      const at = other.findIndex(({ header }, index) => header.zxid !== history[index]?.header.zxid);
      if (at < 0) continue;
      const around = (transactions: readonly Transaction[]): string => transactions.slice(Math.max(0, at - 2), at + 3).map(({ header }) => `0x${toHex(header.zxid)}`).join(" ");
      throw new Violation("equal histories", `member ${id} has ${around(other)} where another has ${around(history)}`);
    }
    const watches = new WatchCheck();
    const { transcripts } = this.#tap;
    const model = checkHistory(history, transcripts, { reply: (reply, state) => watches.reply(reply, state), transaction: () => undefined }, { strangers: true });
    watches.check(transcripts, model);
    checkSessions(transcripts, model);
    checkSyncs(transcripts, undefined);
    return { transactions: history.length, answers: this.answers, watchEvents: watches.events };
  }
}

function longest(histories: readonly (readonly Transaction[])[]): readonly Transaction[] {
  return histories.reduce((most, each) => (each.length > most.length ? each : most), []);
}
