/** One deliberate fault: a text of the built code, and what stands there instead. */
export interface Mutation {
  readonly name: string;
  /** Under dist/src. */
  readonly file: string;
  /** Occurs once. */
  readonly find: string;
  readonly replace: string;
  /** What is to catch it: one of the first seeds of a world, or a scenario, where it takes a history that seeds seldom have. */
  readonly by: "nodes" | "cluster" | "groups" | "ensemble" | Scenario;
}

/** A test that must fail. */
export interface Scenario {
  /** Under sim, without its ending. */
  readonly file: "cluster-scenarios" | "ensemble-scenarios" | "kafka-incidents" | "zookeeper-incidents";
  /** The beginning of its title; no other has it. */
  readonly title: string;
}

/** Seeds that each may take, from 1 on. */
export const SEEDS_MAX = 20;

const PARTITION = "kafka/replication/partition.js";
const LEADER_STATE = "kafka/replication/leader-state.js";
const FETCHER = "kafka/replication/fetcher-core.js";
const LEADER = "zookeeper/quorum/zab/leader-core.js";
const LEARNER = "zookeeper/quorum/zab/learner-core.js";

export const MUTATIONS: readonly Mutation[] = [
  // Replication
  { name: "acks=all is answered before the ISR has it", file: PARTITION, find: "if (this.isLeader && this.log.highWatermark < requiredOffset)", replace: "if (false)", by: "cluster" },
  { name: "consumers are served beyond the high watermark", file: PARTITION, find: 'return bound === "highWatermark" ? this.log.highWatermark : this.log.lastStableOffset;', replace: "return this.log.endOffset;", by: "cluster" },
  { name: "the high watermark waits for nobody", file: LEADER_STATE, find: "if (follower.logEndOffset >= lowest)", replace: "if (true)", by: "cluster" },
  { name: "the high watermark waits for the committed ISR alone", file: LEADER_STATE, find: "this.#counted.has(id) || nowMs - caughtUpOf(follower) <= lagMsMax", replace: "this.#isr.includes(id)", by: "cluster" },
  { name: "a follower joins the ISR before it has what is committed", file: LEADER_STATE, find: "&& follower.logEndOffset >= highWatermark && follower.logEndOffset >= this.epochStartOffset", replace: "", by: "cluster" },
  { name: "a follower joins the ISR without what an earlier leader committed", file: LEADER_STATE, find: "&& follower.logEndOffset >= this.epochStartOffset", replace: "", by: { file: "kafka-incidents", title: "a follower comes into the ISR only with all that an earlier leader committed" } },
  { name: "an acknowledged write is counted before it is written", file: PARTITION, find: "this.#state?.highWatermark(log.writtenOffset,", replace: "this.#state?.highWatermark(log.endOffset,", by: "cluster" },
  { name: "a follower does not truncate on a new epoch", file: FETCHER, find: "this.#truncations.push({ followed, offset, complete, endOffset });", replace: "this.#truncations.push({ followed, offset: endOffset, complete: true, endOffset });", by: "cluster" },
  { name: "a follower truncates by its high watermark, not by epochs", file: FETCHER, find: "if (followed.replica.log.latestEpoch === undefined)", replace: "if (true)", by: "cluster" },
  { name: "a leader does not fence other epochs", file: PARTITION, find: "if (currentLeaderEpoch !== -1 && currentLeaderEpoch < this.#leaderEpoch)", replace: "if (false)", by: { file: "kafka-incidents", title: "a follower that still fetches in an epoch that is over is fenced" } },
  { name: "a follower does not take over the leader's high watermark", file: PARTITION, find: "log.setHighWatermark(Math.min(highWatermark, log.endOffset));", replace: "", by: "cluster" },
  // Logs and producers
  { name: "sequence numbers are lost after a restart", file: "kafka/log/open-log.js", find: "await replayProducers(this.#context, { state, snapshots, segments, startOffset, upTo: endOffset });", replace: "state.endOffset = endOffset;", by: "cluster" },
  { name: "a batch that is sent again is appended again", file: "kafka/log/producer-state.js", find: 'if (origin === "client") {\n            const duplicate = findDuplicate(entry, batch, at);', replace: 'if (origin === "client") {\n            return undefined;\n            const duplicate = findDuplicate(entry, batch, at);', by: "cluster" },
  { name: "a broker forgets to sync", file: "kafka/log/segment.js", find: "await this.#log?.dataSync();", replace: "", by: "groups" },
  { name: "a broker trusts its logs after a crash", file: "kafka/log/open-log.js", find: "if (recoverFrom !== undefined)\n            await this.#recover(recoverFrom, rebuild);", replace: "", by: "cluster" },
  { name: "leader epochs are not cut with their log", file: "kafka/log/leader-epochs.js", find: "this.#dropFromEnd((entry) => entry.startOffset >= endOffset);", replace: "", by: "cluster" },
  { name: "what is left of a cut entry is hidden by the entries before it", file: "kafka/log/tail-cache.js", find: "cut ||= batchLastOffset(newest.bytes, 0) < offset;", replace: "", by: { file: "cluster-scenarios", title: "a follower that drops the end of what one answer gave it" } },
  { name: "a new controller does not see who has restarted", file: "kafka/controller/failover.js", find: "yield* recognizeRestarts(state, restarted);", replace: "", by: { file: "cluster-scenarios", title: "a controller that is back before anybody has seen it go" } },
  // Controller
  { name: "the controller elects whoever lives", file: "kafka/controller/leader-election.js", find: "const inSync = online.find((replica) => current.isr.includes(replica));", replace: "const inSync = online[0];", by: "cluster" },
  { name: "who leaves in good order hands over to anybody", file: "kafka/controller/leader-election.js", find: "const leader = online.find((replica) => current.isr.includes(replica) && !context.shuttingDown.has(replica));", replace: "const leader = online.find((replica) => !context.shuttingDown.has(replica));", by: "cluster" },
  { name: "brokers obey a controller that was replaced", file: "kafka/replication/replica-manager.js", find: "if (epoch < this.#controllerEpoch)", replace: "if (false)", by: { file: "kafka-incidents", title: "what a replaced controller had to say to a broker is refused" } },
  // Groups
  { name: "a commit is answered though its append failed", file: "kafka/coordinators/group/offset-commits.js", find: "const failed = error !== ErrorCode.NONE;", replace: "const failed = false;", by: "groups" },
  { name: "a commit of an earlier generation is taken", file: "kafka/coordinators/group/offset-commits.js", find: "if (generation !== group.generation)", replace: "if (false)", by: "groups" },
  { name: "appends of commits take effect in the order of their answers", file: "kafka/coordinators/group/group-offsets.js", find: "if (appendedOffset !== undefined && appendedOffset > entry.appendedOffset)", replace: "if (appendedOffset !== undefined && committed.offset % 7 !== 0)", by: "groups" },
  { name: "the cleaner keeps one record of each batch", file: "kafka/log/cleaner/retain.js", find: "if (!retention.keep(reader))", replace: "if (!retention.keep(reader) || kept.length > 0)", by: "groups" },
  { name: "a static member that was replaced goes on", file: "kafka/coordinators/group/context.js", find: "return ErrorCode.FENCED_INSTANCE_ID;", replace: "return ErrorCode.NONE;", by: "groups" },
  // Zab
  { name: "a transaction is committed before a quorum has it", file: LEADER, find: "if (!this.#quorumHas(zxid))", replace: "if (this.#durable < zxid)", by: "ensemble" },
  { name: "the leader counts what its own disk does not have", file: LEADER, find: "if (this.#durable < zxid)", replace: "if (false)", by: { file: "zookeeper-incidents", title: "a leader does not count itself for what its own disk does not have" } },
  { name: "a follower acknowledges what its disk does not have", file: LEARNER, find: 'this.#effects.push({ kind: "append", transaction });', replace: 'this.#effects.push({ kind: "append", transaction }); if (this.serving) { this.#unacknowledged = []; this.#send({ kind: "ack", zxid }); }', by: "ensemble" },
  { name: "a member forgets to sync its log", file: "zookeeper/store/transaction-log.js", find: "await log.file.dataSync();", replace: "", by: "ensemble" },
  { name: "a new log file's name is not synced", file: "zookeeper/store/transaction-log.js", find: "if (log.fresh)", replace: "if (false)", by: "ensemble" },
  { name: "a follower accepts the epoch of a leader that was replaced", file: LEARNER, find: "if (epoch < this.#accepted)", replace: "if (false)", by: { file: "zookeeper-incidents", title: "a member that has accepted a later epoch does not follow a leader of an earlier one" } },
  { name: "a leader does not hear of a longer history than its own", file: LEADER, find: "if (currentEpoch > own.currentEpoch || (currentEpoch === own.currentEpoch && lastZxid > own.lastZxid))", replace: "if (false)", by: { file: "zookeeper-incidents", title: "a leader that meets a longer history than its own" } },
  { name: "a member does not cut what its leader does not have", file: LEARNER, find: 'this.#effects.push({ kind: "truncate", zxid });', replace: "this.#busy = false;", by: "ensemble" },
  { name: "a leader says nothing while it reads its log for a learner", file: "zookeeper/quorum/zab/synchronizer.js", find: "(gatheredBytes > 0 && clock.monotonicMs() - flushedMs >= FLUSH_MS)", replace: "false", by: { file: "ensemble-scenarios", title: "a member that was away for long is brought up to date from many small log files" } },
  { name: "a follower answers a sync by itself", file: "zookeeper/server/learner-term.js", find: "sync(request) {\n        this.#learner.request(request);", replace: "sync(request) {\n        this.#commits?.synced();", by: "ensemble" },
  { name: "a leader without a quorum goes on", file: LEADER, find: "if (this.#halfTicks % 2 === 0 && !this.#isQuorum(this.#present()))", replace: "if (false)", by: "ensemble" },
  // Sessions, watches, trees
  { name: "ephemerals outlive their session", file: "zookeeper/tree/tree.js", find: "for (const node of owned)", replace: "for (const node of [])", by: "ensemble" },
  { name: "a multi with an error applies what came before it", file: "zookeeper/tree/apply.js", find: "if (failed < 0)", replace: "if (failed < 0 || at < failed)", by: "ensemble" },
  { name: "a deletion does not tell those who watch", file: "zookeeper/tree/watches.js", find: "const told = this.data.fire(path);", replace: "const told = undefined;", by: "ensemble" },
  { name: "who was away does not hear what changed meanwhile", file: "zookeeper/tree/read.js", find: "else if (tree.stats.mzxid(node.row) > relativeZxid)", replace: "else if (false)", by: "ensemble" },
  { name: "a watch fires again and again", file: "zookeeper/tree/watches.js", find: "if ((modes & WatchMode.once) !== 0)", replace: "if (false)", by: "ensemble" },
  { name: "a session that was declared dead goes on", file: "zookeeper/server/session-tracker.js", find: "if (session === undefined || session.closing)\n            return ErrorCode.sessionExpired;", replace: "if (session === undefined)\n            return ErrorCode.sessionExpired;", by: { file: "zookeeper-incidents", title: "what a session asks for after it was declared dead" } },
  { name: "a session that moved may be used by both members", file: "zookeeper/server/session-tracker.js", find: "return session.owner === owner ? ErrorCode.ok : ErrorCode.sessionMoved;", replace: "return ErrorCode.ok;", by: { file: "zookeeper-incidents", title: "what a client asked of a member that it has left" } },
  { name: "sessions expire early", file: "zookeeper/server/expiry-queue.js", find: "(now + timeoutMs)", replace: "(now + timeoutMs / 4)", by: "ensemble" },
  { name: "a read overtakes the writes of its session", file: "zookeeper/server/pipeline.js", find: "if (request.ready && queue === undefined)", replace: "if (request.ready)", by: "ensemble" },
];
