import type { Host } from "../../../host/host.ts";
import type { Connection } from "../../../host/net.ts";
import { must } from "../../../lib/assert.ts";
import { readInt64, writeInt64 } from "../../../lib/int64.ts";
import { TaskGroup } from "../../../lib/task-group.ts";
import { isQuorum, type Ensemble } from "../../config/ensemble.ts";
import type { Candidacy } from "./election.ts";
import { Elector } from "./elector.ts";

/*
 * For tests: a member that elects with the real thing, and in the place of the broadcast has heartbeats: followers
 * say which epoch they have accepted; a leader that hears a quorum begins an epoch above all of these, and is
 * established once a quorum has accepted it; either side gives up when it hears nothing for a while.
 */

const BEAT_MS = 100;
const PATIENCE_MS = 2000;
const EPOCH_SPAN = 2 ** 32;

/** What a member has on its disk. */
export interface Stored {
  lastZxid: number;
  currentEpoch: number;
  acceptedEpoch: number;
  /** By whom: for one epoch a member speaks for one leader. It joins another one once that is established without it. */
  acceptedFrom: number;
}

export function ensembleOf(voters: number, observers = 0): Ensemble {
  const members = Array.from({ length: voters + observers }, (_, index) => ({
    id: index + 1,
    host: `n${index + 1}`,
    quorumPort: 2888,
    electionPort: 3888,
    role: index < voters ? ("participant" as const) : ("observer" as const),
    clientAddress: undefined,
  }));
  return { members, groups: undefined, version: 0 };
}

interface Heard {
  readonly atMs: number;
  readonly acceptedEpoch: number;
  /** The epoch that it has accepted from this leader. */
  readonly acknowledged: number;
}

export class TestMember {
  readonly elector: Elector;
  /** The leader and the epoch that this member is in sync with. */
  established: { readonly leader: number; readonly epoch: number } | undefined;
  readonly #host: Host;
  readonly #id: number;
  readonly #ensemble: Ensemble;
  readonly #stored: Stored;
  readonly #tasks: TaskGroup;
  readonly #heard = new Map<number, Heard>();
  #epoch = 0;

  constructor(options: { readonly host: Host; readonly id: number; readonly ensemble: Ensemble; readonly stored: Stored }) {
    const { host, id, ensemble } = options;
    this.#host = host;
    this.#id = id;
    this.#ensemble = ensemble;
    this.#stored = options.stored;
    this.elector = new Elector({ host, id, ensemble, listenOnAllAddresses: false, connectTimeoutMs: 5000, handshakeTimeoutMs: 10_000, bindTries: 3 });
    this.#tasks = new TaskGroup((error) => host.fail(error));
    this.#tasks.run(() => this.#live());
  }

  async #live(): Promise<void> {
    await this.#host.net.listen({ port: 2888 }, (connection) => this.#serve(connection));
    await this.elector.listen();
    for (;;) {
      const { lastZxid, currentEpoch } = this.#stored;
      const candidacy: Candidacy = { lastZxid, currentEpoch };
      const { state, vote } = await this.elector.elect(candidacy);
      if (state === "leading") await this.#lead();
      else await this.#follow(vote.leader);
      this.established = undefined;
    }
  }

  #now(): number {
    return this.#host.clock.monotonicMs();
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => void this.#host.timers.after(BEAT_MS, resolve));
  }

  #accept(epoch: number, leader: number): void {
    this.#stored.acceptedEpoch = epoch;
    this.#stored.acceptedFrom = leader;
  }

  #establish(epoch: number, leader: number): void {
    if (this.established?.epoch === epoch) return;
    this.#accept(epoch, leader);
    this.#stored.currentEpoch = epoch;
    this.#stored.lastZxid = epoch * EPOCH_SPAN;
    this.elector.synced(epoch);
    this.established = { leader, epoch };
  }

  async #lead(): Promise<void> {
    this.#heard.clear();
    this.#epoch = 0;
    let lostMs = this.#now();
    while (this.#now() - lostMs < PATIENCE_MS) {
      const since = this.#now() - PATIENCE_MS;
      const recent = [...this.#heard].filter(([, heard]) => heard.atMs >= since);
      const withSelf = (ids: readonly number[]): ReadonlySet<number> => new Set([this.#id, ...ids]);
      if (isQuorum(this.#ensemble, withSelf(recent.map(([id]) => id)))) {
        lostMs = this.#now();
        if (this.#epoch === 0) {
          this.#epoch = 1 + Math.max(this.#stored.acceptedEpoch, ...recent.map(([, heard]) => heard.acceptedEpoch));
          this.#accept(this.#epoch, this.#id);
        }
        const accepted = recent.filter(([, heard]) => heard.acknowledged === this.#epoch).map(([id]) => id);
        if (isQuorum(this.#ensemble, withSelf(accepted))) this.#establish(this.#epoch, this.#id);
      }
      await this.#sleep();
    }
  }

  #serve(connection: Connection): void {
    readRecords(connection, 24, (record) => {
      if (this.elector.state !== "leading") {
        connection.destroy();
        return;
      }
      this.#heard.set(readInt64(record, 0), { atMs: this.#now(), acceptedEpoch: readInt64(record, 8), acknowledged: readInt64(record, 16) });
      const answer = Buffer.alloc(16);
      writeInt64(answer, this.#epoch, 0);
      writeInt64(answer, this.established === undefined ? 0 : 1, 8);
      connection.write(answer);
    });
  }

  async #follow(leader: number): Promise<void> {
    const bond = { heardMs: this.#now(), over: false };
    let connection: Connection | undefined;
    const { host } = must(
      this.#ensemble.members.find(({ id }) => id === leader),
      "leader",
    );
    while (!bond.over && this.#now() - bond.heardMs < PATIENCE_MS) {
      if (connection === undefined || connection.closed) {
        try {
          connection = await this.#host.net.connect({ host, port: 2888, timeoutMs: 500 });
          readRecords(connection, 16, (record) => {
            bond.heardMs = this.#now();
            const epoch = readInt64(record, 0);
            if (epoch === 0 || bond.over) return;
            const { acceptedEpoch, acceptedFrom } = this.#stored;
            if (epoch < acceptedEpoch) bond.over = true;
            else if (readInt64(record, 8) === 1) this.#establish(epoch, leader);
            else if (epoch > acceptedEpoch || acceptedFrom === leader) this.#accept(epoch, leader);
          });
        } catch (error) {
          this.#host.log.debug("the leader is not reached", { leader, error });
        }
      } else {
        const record = Buffer.alloc(24);
        writeInt64(record, this.#id, 0);
        writeInt64(record, this.#stored.acceptedEpoch, 8);
        writeInt64(record, this.#stored.acceptedFrom === leader ? this.#stored.acceptedEpoch : -1, 16);
        if (connection.bufferedBytes < 1000) connection.write(record);
      }
      await this.#sleep();
    }
    bond.over = true;
    connection?.destroy();
  }
}

function readRecords(connection: Connection, bytes: number, onRecord: (record: Buffer) => void): void {
  let rest = Buffer.alloc(0);
  connection.start({
    data: (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (; rest.length >= bytes; rest = rest.subarray(bytes)) onRecord(rest.subarray(0, bytes));
    },
    close: () => undefined,
  });
}
