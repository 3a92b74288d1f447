import type { Timer } from "../../host/clock.ts";
import type { Host } from "../../host/host.ts";
import { voters, type Ensemble, type Member } from "../config/ensemble.ts";

export interface QuorumWatchOptions {
  readonly self: Member;
  readonly ensemble: Ensemble;
  /** Members that there is an election connection to. */
  connected(): readonly number[];
}

const FIRST_REPORT_MS = 2000;
const REPORT_MS = 5000;

/** While a member has no quorum it says in one line, and again every few seconds, whom it waits for and since when. */
export class QuorumWatch {
  readonly #host: Host;
  readonly #options: QuorumWatchOptions;
  #since = 0;
  #leader: number | undefined;
  #timer: Timer | undefined;

  constructor(host: Host, options: QuorumWatchOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** Clients are not served from here on, and a leader is looked for. */
  unserved(): void {
    this.#leader = undefined;
    if (this.#timer !== undefined) return;
    this.#since = this.#host.clock.wallMs();
    this.#reportAfter(FIRST_REPORT_MS);
  }

  /** A leader has been found; clients are served once it has a quorum's history. */
  elected(leader: number): void {
    this.#leader = leader;
  }

  served(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #reportAfter(delayMs: number): void {
    this.#timer = this.#host.timers.after(delayMs, () => {
      this.#host.log.warn(this.#describe());
      this.#reportAfter(REPORT_MS);
    });
  }

  #describe(): string {
    const { self, ensemble } = this.#options;
    const since = new Date(this.#since).toISOString();
    if (this.#leader !== undefined) return `not serving since ${since}: ${this.#leader === self.id ? "elected to lead, waiting for a quorum to take over this member's history" : `being brought up to date by member ${this.#leader}, which was elected to lead`}`;
    const there = new Set(this.#options.connected());
    const missing = ensemble.members.filter(({ id }) => id !== self.id && !there.has(id));
    const voting = voters(ensemble).length;
    const whom = missing.length === 0 ? "all members are there, and have not agreed on a leader yet" : `waiting for ${missing.map(({ id, host, electionPort }) => `member ${id} (${host}:${electionPort})`).join(" and ")}`;
    return `no quorum since ${since}, ${Math.floor(voting / 2) + 1} of ${voting} voting members are needed: ${whom}`;
  }
}
