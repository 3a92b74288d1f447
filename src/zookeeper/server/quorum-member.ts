import type { Host } from "../../host/host.ts";
import { assert, must } from "../../lib/assert.ts";
import { errorCode, OperationalError } from "../../lib/error.ts";
import type { Family } from "../../lib/metrics.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import { formatEnsemble, voters, type Member } from "../config/ensemble.ts";
import type { MemberConfig } from "../config/member-config.ts";
import { juteLimits } from "../jute/limits.ts";
import { zxid } from "../protocol/ids.ts";
import { Elector } from "../quorum/election/elector.ts";
import type { History } from "../quorum/zab/history.ts";
import { EpochFiles } from "../store/epochs.ts";
import { LeaderTerm } from "./leader-term.ts";
import { LearnerTerm } from "./learner-term.ts";
import { MemberData } from "./member-data.ts";
import { memberFamilies } from "./metrics.ts";
import { QuorumWatch } from "./quorum-watch.ts";
import { ClientServer } from "./server.ts";
import { SessionIds } from "./session-ids.ts";

/**
 * A member of an ensemble: elects, leads or follows, and elects again. While it does neither, clients are sent away.
 * Sources: QuorumPeer, QuorumPeerMain.
 */
export class QuorumMember {
  readonly #host: Host;
  readonly #config: MemberConfig;
  readonly #self: Member;
  readonly #data: MemberData;
  readonly #history: History;
  readonly #server: ClientServer;
  readonly #elector: Elector;
  readonly #watch: QuorumWatch;
  readonly #sessionIds: SessionIds;
  readonly #tasks: TaskGroup;
  #term: LeaderTerm | LearnerTerm | undefined;
  #wantsSnapshot = false;
  #closed = false;

  private constructor(host: Host, config: MemberConfig, data: MemberData, server: ClientServer, epochs: EpochFiles) {
    const { ensemble } = config;
    this.#host = host;
    this.#config = config;
    this.#self = must(config.self, "this member's own line");
    this.#data = data;
    this.#history = { database: data.database, epochs };
    this.#server = server;
    this.#elector = new Elector({
      host,
      id: this.#self.id,
      ensemble,
      listenOnAllAddresses: config.quorumListenOnAllIPs,
      connectTimeoutMs: config.cnxTimeout,
      handshakeTimeoutMs: config.tickTime * config.syncLimit,
      bindTries: config.electionPortBindRetry,
    });
    this.#watch = new QuorumWatch(host, { self: this.#self, ensemble, connected: () => this.#elector.connected });
    this.#sessionIds = new SessionIds(this.#self.id, host.clock.wallMs());
    this.#tasks = new TaskGroup((error) => host.fail(error));
  }

  /**
   * Takes part in elections, and has its port for clients open, when the promise is fulfilled; it serves them once
   * there is a quorum. Rejects with the errors of `MemberData.open` and `EpochFiles.load`, and with EADDRINUSE and
   * its like.
   */
  static async start(host: Host, config: MemberConfig): Promise<QuorumMember> {
    assert(config.mode === "quorum", "a member of an ensemble has others to agree with");
    const server = new ClientServer(host, config);
    const data = await MemberData.open(host, config, server);
    let member: QuorumMember | undefined;
    try {
      const { snapshotDirectory, tree } = data.database;
      member = new QuorumMember(host, config, data, server, await EpochFiles.load(host.disk, snapshotDirectory, tree.lastZxid));
      await member.#start();
      return member;
    } catch (error) {
      await (member ?? data).close();
      throw error;
    }
  }

  /** Where clients find it; undefined where the configuration gives them no port. */
  get clientPort(): number | undefined {
    return this.#server.port;
  }

  /** What it measures. */
  get families(): readonly Family[] {
    return memberFamilies(this.#server, this.#data.database);
  }

  /** Why clients should not come here, in words; undefined: it serves, with a quorum. */
  get unready(): string | undefined {
    return this.#server.role === undefined ? "it has no quorum, or is being brought up to date" : undefined;
  }

  /** What was acknowledged is on the disk; sessions live on in the ensemble. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#watch.served();
    this.#term?.close();
    await this.#elector.close();
    await this.#tasks.settled();
    await this.#server.close();
    await this.#data.close();
  }

  async #start(): Promise<void> {
    const { clientAddress } = this.#config;
    this.#writeConfig();
    if (clientAddress !== undefined) await this.#server.listen(clientAddress);
    await this.#elector.listen();
    this.#data.keepPurged();
    this.#host.log.info("a member of an ensemble", { id: this.#self.id, members: this.#config.ensemble.members.map(({ id }) => id), port: this.#server.port });
    this.#tasks.run(() => this.#run());
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      this.#watch.unserved();
      try {
        await this.#serveOneTerm();
      } catch (error) {
        if (!this.#closed || errorCode(error) !== "ECANCELED") throw error;
      }
    }
  }

  async #serveOneTerm(): Promise<void> {
    const { database, epochs } = this.#history;
    const { stats } = this.#server;
    const { clock } = this.#host;
    const startMs = clock.monotonicMs();
    stats.elections += 1;
    const { state, vote } = await this.#elector.elect({ lastZxid: database.tree.lastZxid, currentEpoch: epochs.current });
    if (this.#closed) return;
    stats.electionTimes.observe(clock.monotonicMs() - startMs);
    this.#watch.elected(vote.leader);
    if (state === "leading") await this.#lead();
    else await this.#follow(vote.leader);
    this.#term = undefined;
  }

  async #lead(): Promise<void> {
    const { ensemble, quorumListenOnAllIPs, snapshotSizeFactor, forceSnapshotSync, leaderMaxConcurrentSnapshots } = this.#config;
    const term = new LeaderTerm(this.#host, {
      server: this.#server,
      history: this.#history,
      leader: {
        ...this.#quorumOptions(),
        ensemble,
        listenOnAllAddresses: quorumListenOnAllIPs,
        snapshotSizeFactor,
        forceSnapshotSync,
        maxConcurrentSnapshots: leaderMaxConcurrentSnapshots,
      },
      primary: { config: this.#config, shares: this.#shares, sessionIds: this.#sessionIds },
      established: (epoch) => this.#serving(epoch, "leader"),
    });
    this.#term = term;
    this.#host.log.warn("leads no more", { reason: await term.run() });
  }

  async #follow(leaderId: number): Promise<void> {
    const { ensemble, globalOutstandingLimit } = this.#config;
    const leader = ensemble.members.find(({ id }) => id === leaderId);
    if (leader === undefined) {
      this.#host.log.warn("a leader was elected that has no line in this member's configuration", { leader: leaderId });
      return;
    }
    const term = new LearnerTerm(this.#host, {
      server: this.#server,
      history: this.#history,
      learner: {
        ...this.#quorumOptions(),
        leader: { host: leader.host, port: leader.quorumPort },
        configVersion: ensemble.version,
        wantsSnapshot: this.#wantsSnapshot,
      },
      outstandingMax: Math.floor(globalOutstandingLimit / this.#shares),
      sessionIds: this.#sessionIds,
      upToDate: (epoch) => {
        this.#wantsSnapshot = false;
        this.#serving(epoch, term.mode);
      },
    });
    this.#term = term;
    const { failure, reason } = await term.run();
    this.#host.log.warn("follows no more", { leader: leaderId, reason });
    if (failure === "diverged") this.#wantsSnapshot = true;
    if (failure === "reconfigured") throw new OperationalError("ZK_RECONFIGURED", reason);
  }

  #quorumOptions() {
    const { tickTime, initLimit, syncLimit, juteMaxbuffer, juteMaxbufferExtrasize } = this.#config;
    return { self: this.#self, tickMs: tickTime, initLimit, syncLimit, limits: juteLimits(juteMaxbuffer, juteMaxbufferExtrasize) };
  }

  /** Among how many members globalOutstandingLimit is divided. Source: LeaderZooKeeperServer, FollowerZooKeeperServer. */
  get #shares(): number {
    return Math.max(1, voters(this.#config.ensemble).length - 1);
  }

  #serving(epoch: number, mode: string): void {
    this.#elector.synced(epoch);
    this.#watch.served();
    this.#writeConfig();
    this.#host.log.info("serving clients", { port: this.#server.port, mode, epoch });
  }

  /** Each member puts into its own tree what it knows. Source: ZKDatabase.initConfigInZKDatabase. */
  #writeConfig(): void {
    const { ensemble } = this.#config;
    this.#history.database.tree.setConfig(Buffer.from(formatEnsemble(ensemble)), zxid(ensemble.version), this.#host.clock.wallMs());
  }
}
