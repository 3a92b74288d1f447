import { Alarm } from "../../../host/alarm.ts";
import type { Host } from "../../../host/host.ts";
import { assert, must } from "../../../lib/assert.ts";
import { OperationalError } from "../../../lib/error.ts";
import { formatEnsemble, type Address, type Ensemble } from "../../config/ensemble.ts";
import { Connections } from "./connections.ts";
import { Election, type Candidacy, type DecidedState } from "./election.ts";
import { electorateOf } from "./electorate.ts";
import { decodeNotification, encodeNotification, type PeerState, type Vote } from "./notification.ts";

export interface ElectorOptions {
  readonly host: Pick<Host, "clock" | "net" | "timers" | "log" | "fail">;
  /** A member of `ensemble`. */
  readonly id: number;
  readonly ensemble: Ensemble;
  /** The key quorumListenOnAllIPs. */
  readonly listenOnAllAddresses: boolean;
  /** The key cnxTimeout. */
  readonly connectTimeoutMs: number;
  /** tickTime × syncLimit. */
  readonly handshakeTimeoutMs: number;
  /** The key electionPortBindRetry. */
  readonly bindTries: number;
  /** While looking, a peer has shown a configuration with a greater version than this member's, as `readEnsemble` parses it. */
  readonly onNewerConfig?: (text: string) => void;
}

export interface Elected {
  /** What this member is from now on. */
  readonly state: DecidedState;
  readonly vote: Vote;
}

interface Looking {
  readonly candidacy: Candidacy;
  resolve(elected: Elected): void;
  reject(error: Error): void;
}

/**
 * A member's part in elections, for as long as it lives: `elect` takes part in one, and between them whoever looks
 * is told of the last outcome. Source: server/quorum/FastLeaderElection.java.
 */
export class Elector {
  readonly #options: ElectorOptions;
  readonly #election: Election;
  readonly #connections: Connections;
  #ensemble: Ensemble;
  #addresses: ReadonlyMap<number, Address>;
  #config: Buffer;
  readonly #alarm: Alarm;
  #looking: Looking | undefined;
  #closed = false;

  constructor(options: ElectorOptions) {
    this.#options = options;
    const { host, id, ensemble } = options;
    const self = must(
      ensemble.members.find((member) => member.id === id),
      `member ${id} of the ensemble`,
    );
    this.#ensemble = ensemble;
    this.#addresses = addressesOf(ensemble);
    this.#config = Buffer.from(formatEnsemble(ensemble));
    this.#alarm = new Alarm(host, () => {
      this.#election.timer(host.clock.monotonicMs(), this.#connections.delivered);
      this.#perform();
    });
    this.#election = new Election({ id, role: self.role, electorate: electorateOf(ensemble) });
    this.#connections = new Connections({
      host,
      id,
      address: { host: self.host, port: self.electionPort },
      listenHost: options.listenOnAllAddresses ? undefined : self.host,
      addressOf: (peer) => this.#addresses.get(peer),
      connectTimeoutMs: options.connectTimeoutMs,
      handshakeTimeoutMs: options.handshakeTimeoutMs,
      bindTries: options.bindTries,
      onMessage: (from, message) => this.#received(from, message),
    });
  }

  get state(): PeerState {
    return this.#election.state;
  }

  get round(): number {
    return this.#election.round;
  }

  /** Members that there is an election connection to. */
  get connected(): readonly number[] {
    return this.#connections.connected;
  }

  /** What the last election came to; its peer epoch follows `synced`. */
  get vote(): Vote | undefined {
    return this.#election.vote;
  }

  /** Opens the election port. Rejects with EADDRINUSE, EADDRNOTAVAIL, … after as many tries as the options say. */
  listen(): Promise<void> {
    return this.#connections.listen();
  }

  /** Looks for a leader, however long that takes. Rejects with ECANCELED on close. */
  elect(candidacy: Candidacy): Promise<Elected> {
    assert(this.#looking === undefined, "one election at a time");
    if (this.#closed) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      this.#looking = { candidacy, resolve, reject };
      this.#begin(candidacy);
    });
  }

  /** This member and its leader are in sync, in the epoch that the leader began. */
  synced(epoch: number): void {
    this.#election.synced(epoch);
  }

  /** Another configuration was committed, or seen (`next`). A member that looks begins a new round. */
  reconfigure(ensemble: Ensemble, next?: Ensemble): void {
    this.#ensemble = ensemble;
    this.#addresses = new Map([...(next === undefined ? [] : addressesOf(next)), ...addressesOf(ensemble)]);
    this.#config = Buffer.from(formatEnsemble(ensemble));
    this.#election.reconfigure(electorateOf(ensemble, next));
    if (this.#looking !== undefined) this.#begin(this.#looking.candidacy);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#alarm.set(undefined);
    this.#looking?.reject(closedError());
    this.#looking = undefined;
    await this.#connections.close();
  }

  #begin(candidacy: Candidacy): void {
    this.#election.start(this.#options.host.clock.monotonicMs(), candidacy);
    this.#options.host.log.info("looking for a leader", { round: this.#election.round, ...candidacy });
    this.#perform();
  }

  #received(from: number, message: Buffer): void {
    const { host, onNewerConfig } = this.#options;
    const notification = decodeNotification(message);
    if (notification === undefined) {
      host.log.warn("a malformed notification is ignored", { from, bytes: message.length });
      return;
    }
    const { state, vote, config } = notification;
    host.log.debug("notification", { from, state, ...vote });
    if (config !== undefined && this.#looking !== undefined && versionOf(config) > this.#ensemble.version) onNewerConfig?.(config);
    this.#election.receive(host.clock.monotonicMs(), from, notification);
    this.#perform();
  }

  #perform(): void {
    for (const effect of this.#election.effects) {
      if (effect.kind === "send") {
        this.#connections.send(effect.to, encodeNotification(effect.state, effect.vote, this.#config));
      } else if (effect.kind === "reconnect") {
        this.#connections.connectAll();
      } else if (effect.kind === "timer") {
        this.#alarm.set(effect.atMs);
      } else {
        const { state, vote } = effect;
        this.#options.host.log.info("a leader is elected", { state, ...vote });
        this.#looking?.resolve({ state, vote });
        this.#looking = undefined;
      }
    }
  }
}

function addressesOf({ members }: Ensemble): Map<number, Address> {
  return new Map(members.map(({ id, host, electionPort }) => [id, { host, port: electionPort }]));
}

/** -1 where the text does not say. */
function versionOf(config: string): number {
  const match = /(?:^|\n)version=([0-9a-fA-F]{1,16})\s*$/.exec(config);
  return match === null ? -1 : Number.parseInt(match[1] ?? "", 16);
}

function closedError(): OperationalError {
  return new OperationalError("ECANCELED", "the election was given up because this member closes");
}
