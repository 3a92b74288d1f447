import { must } from "../../../../lib/assert.ts";
import { decodeSubscription, encodeSubscription } from "../../../protocol/consumer-protocol.ts";
import { ErrorCode, errorName } from "../../../protocol/error-codes.ts";
import { GroupCore, type GroupRules } from "../group-core.ts";
import type { CommitPartition, GroupEffect, GroupProtocol, JoinResult, LoadedGroup, LoadedOffset, StoredGroup, StoredMember, StoredRecord, TopicPartition } from "../types.ts";

/**
 * A conversation with the group core as text: a line is an input, the lines that are indented below it are what came
 * out. `play` gives the text anew with what comes out now, so that a test compares the two.
 *
 *     join a [id=] [group=g] [instance=] [session=10000] [rebalance=60000] [type=consumer] [protocols=range:A,sticky:B] [known] [skips]
 *     sync a id= gen= [instance=] [type=] [protocol=] [assign=member:bytes,…]
 *     beat id= gen= [instance=]                    leave member… @instance… member@instance
 *     commit a [id=] [gen=-1] [instance=] [retention=] [commitTime=] topic-0=5/metadata …
 *     fetch topic-0 … | all [stable]               list [states=] [types=]        describe        delete group…
 *     deleteOffsets topic-0 …                      partitionsDeleted topic-0 …    expireOffsets
 *     done token [ERROR]                           +1000 (time passes, deadlines ring)   wall 1000 (the wall clock alone steps)
 *     loading | loaded | unload | reload           deadline
 *
 * The first word after join, sync and commit names the ticket, and makes a new member's id unique: the member of
 * `join a` is c-a. A metadata of ~x+y is a subscription to the topics x and y. What is appended is kept as a log:
 * `loaded` and `reload` give the core what is in it.
 */
export class GroupScript {
  readonly core: GroupCore;
  readonly #tickets: string[] = [""];
  readonly #log: { records: readonly StoredRecord[]; baseOffset: number }[] = [];
  readonly #appends = new Map<number, { records: readonly StoredRecord[]; baseOffset: number }>();
  #endOffset = 0;
  #epoch = 1;
  #ms = 0;
  #wallMs = 1_000_000;

  constructor(rules: Partial<GroupRules> = {}) {
    this.core = new GroupCore({ rules: { minSessionTimeoutMs: 6000, maxSessionTimeoutMs: 1_800_000, initialRebalanceDelayMs: 0, maxSize: 10, offsetMetadataCharsMax: 10, offsetsRetentionMs: 100_000, ...rules }, partitionCount: 1 });
    this.core.loading(0, this.#epoch);
    this.core.loaded(0, this.#epoch, [], this.now);
    this.core.effects.length = 0;
  }

  get now(): { ms: number; wallMs: number } {
    return { ms: this.#ms, wallMs: this.#wallMs };
  }

  /** What is in the log. */
  stored(): LoadedGroup[] {
    return foldLog(this.#log);
  }

  /** In place of everything that there is. */
  load(groups: readonly LoadedGroup[]): void {
    this.core.unloaded(0, this.now);
    this.core.loading(0, ++this.#epoch);
    this.core.loaded(0, this.#epoch, groups, this.now);
    this.core.effects.length = 0;
  }

  play(text: readonly string[]): string[] {
    const played: string[] = [];
    for (const line of text) {
      if (line.startsWith(" ")) continue;
      played.push(line);
      if (line === "" || line.startsWith("#")) continue;
      const said = this.#run(line);
      const effects = this.core.effects.splice(0).map((effect) => this.#show(effect));
      played.push(...[...effects, ...said].map((output) => `  ${output}`));
    }
    return played;
  }

  #run(line: string): string[] {
    const [command = "", ...words] = line.split(" ");
    const options = new Map(words.filter((word) => /^[a-zA-Z]+=/.test(word)).map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]));
    const plain = words.filter((word) => !/^[a-zA-Z]+=/.test(word));
    const { core, now } = this;
    const text = (name: string, fallback: string): string => options.get(name) ?? fallback;
    const number = (name: string, fallback: number): number => Number(options.get(name) ?? fallback);
    const member = { groupId: text("group", "g"), memberId: text("id", ""), instanceId: options.get("instance") ?? null, generation: number("gen", -1) };
    if (command.startsWith("+")) {
      this.#ms += Number(command);
      this.#wallMs += Number(command);
      core.expire(this.now);
      return [];
    }
    switch (command) {
      case "join":
        core.join({
          ...member, clientId: "c", clientHost: "/h", rebalanceTimeoutMs: number("rebalance", 60_000), sessionTimeoutMs: number("session", 10_000), protocolType: text("type", "consumer"),
          protocols: protocolsOf(text("protocols", "range:A")), requireKnownMemberId: plain.includes("known"), supportsSkipping: plain.includes("skips"), reason: null, memberSuffix: plain[0] ?? "",
        }, this.#ticket(plain[0]), now);
        return [];
      case "sync":
        core.sync({
          ...member, protocolType: options.get("type") ?? null, protocolName: options.get("protocol") ?? null,
          assignments: pairs(text("assign", "")).map(([memberId, bytes]) => ({ memberId, assignment: Buffer.from(bytes) })),
        }, this.#ticket(plain[0]), now);
        return [];
      case "beat":
        return [errorName(core.heartbeat(member, now))];
      case "leave": {
        const left = core.leave(member.groupId, plain.map((word) => ({ memberId: word.split("@")[0] ?? "", instanceId: word.split("@")[1] ?? null })), now);
        return [[left.error, ...left.members].map(errorName).join(" ")];
      }
      case "commit":
        core.commit({
          ...member, retentionMs: options.has("retention") ? number("retention", 0) : undefined,
          partitions: plain.slice(1).map((word) => offsetOf(word, options.has("commitTime") ? number("commitTime", 0) : undefined)),
        }, this.#ticket(plain[0]), now);
        return [];
      case "fetch": {
        const wanted = plain.filter((word) => word !== "stable" && word !== "all").map(partitionOf);
        const fetched = core.fetchOffsets(member.groupId, plain.includes("all") ? null : wanted.map(({ topic, partition }) => ({ topic, partitions: [partition] })), plain.includes("stable"));
        return [errorName(fetched.error), ...fetched.offsets.map(({ topic, partition, offset, leaderEpoch, metadata, error }) => `${topic}-${partition}=${offset}/${metadata}${leaderEpoch === -1 ? "" : ` epoch=${leaderEpoch}`}${error === ErrorCode.NONE ? "" : ` ${errorName(error)}`}`)];
      }
      case "list": {
        const split = (name: string): string[] => text(name, "").split(",").filter((word) => word !== "");
        const { error, groups } = core.list(split("states"), split("types"));
        return [errorName(error), ...groups.map(({ groupId, protocolType, state }) => `${groupId} ${protocolType} ${state}`)];
      }
      case "describe": {
        const { error, state, protocolType, protocolName, members } = core.describe(member.groupId);
        return [`${errorName(error)} ${state} ${protocolType}/${protocolName}`, ...members.map((each) => `${each.memberId}${each.instanceId === null ? "" : `@${each.instanceId}`} ${each.clientId} ${each.clientHost} ${showMember(each)}`)];
      }
      case "delete":
        return [core.deleteGroups(plain, now).map(errorName).join(" ")];
      case "deleteOffsets": {
        const { error, partitions } = core.deleteOffsets(member.groupId, plain.map(partitionOf), now);
        return [[error, ...partitions].map(errorName).join(" ")];
      }
      case "partitionsDeleted":
        core.partitionsDeleted(plain.map(partitionOf), now);
        return [];
      case "expireOffsets":
        return [`${core.expireOffsets(0, now)} gone`];
      case "done":
        this.#done(Number(plain[0]), plain[1] ?? "NONE");
        return [];
      case "wall":
        this.#wallMs += Number(plain[0]);
        return [];
      case "deadline":
        return [core.nextDeadlineMs === undefined ? "none" : `in ${core.nextDeadlineMs - this.#ms}`];
      case "unload":
        core.unloaded(0, now);
        return [];
      case "loading":
        core.loading(0, ++this.#epoch);
        return [];
      case "loaded":
        core.loaded(0, this.#epoch, this.stored(), now);
        return [];
      case "reload":
        core.unloaded(0, now);
        core.loading(0, ++this.#epoch);
        core.loaded(0, this.#epoch, this.stored(), now);
        return [];
      default:
        throw new Error(`no such input: ${line}`);
    }
  }

  #ticket(name: string | undefined): number {
    return this.#tickets.push(must(name, "a ticket's name")) - 1;
  }

  #done(token: number, error: string): void {
    const append = must(this.#appends.get(token), `append ${token}`);
    if (error === "NONE") this.#log.push(append);
    this.core.appended(token, ErrorCode[error as keyof typeof ErrorCode], error === "NONE" ? append.baseOffset : -1, this.now);
  }

  #show(effect: GroupEffect): string {
    switch (effect.kind) {
      case "joined":
        return `${this.#tickets[effect.ticket]} <- ${showJoin(effect.result)}`;
      case "synced": {
        const { error, protocolType, protocolName, assignment } = effect.result;
        return `${this.#tickets[effect.ticket]} <- ${errorName(error)}${error === ErrorCode.NONE ? ` ${protocolType}/${protocolName} "${assignment.toString()}"` : ""}`;
      }
      case "committed":
        return `${this.#tickets[effect.ticket]} <- ${effect.errors.length === 0 ? "nothing" : effect.errors.map(errorName).join(" ")}`;
      case "superseded":
        return `${this.#tickets[effect.ticket]} <- superseded`;
      case "append": {
        const append = { records: effect.records, baseOffset: this.#endOffset };
        this.#endOffset += effect.records.length;
        if (effect.token === 0) this.#log.push(append);
        else this.#appends.set(effect.token, append);
        return `append ${effect.token === 0 ? effect.acks : effect.token}: ${effect.records.map(showRecord).join(" ")}`;
      }
      case "log":
        return `! ${effect.message}`;
    }
  }
}

/** What a log says in the end: the last record of each key. */
export function foldLog(log: readonly { readonly records: readonly StoredRecord[]; readonly baseOffset: number }[]): LoadedGroup[] {
  const groups = new Map<string, StoredGroup>();
  const offsets = new Map<string, LoadedOffset & { groupId: string }>();
  for (const { records, baseOffset } of log.toSorted((a, b) => a.baseOffset - b.baseOffset)) {
    for (const record of records) {
      if (record.kind === "group") {
        if (record.value === null) groups.delete(record.groupId);
        else groups.set(record.groupId, record.value);
        continue;
      }
      const { groupId, topic, partition, value } = record;
      const key = `${groupId}/${topic}-${partition}`;
      if (value === null) offsets.delete(key);
      else offsets.set(key, { groupId, topic, partition, committed: value, appendedOffset: baseOffset });
    }
  }
  const ids = new Set([...groups.keys(), ...Array.from(offsets.values(), ({ groupId }) => groupId)]);
  return Array.from(ids, (groupId) => ({ groupId, group: groups.get(groupId), offsets: [...offsets.values()].filter((offset) => offset.groupId === groupId), transactional: [] }));
}

/** Without the indentation that all lines share, and without empty lines at both ends. */
export function dedent(text: string): string[] {
  const lines = text.replace(/^\n+|\s+$/g, "").split("\n");
  const indent = Math.min(...lines.filter((line) => line.trim() !== "").map((line) => line.length - line.trimStart().length));
  return lines.map((line) => line.slice(indent).trimEnd());
}

function pairs(text: string): [string, string][] {
  return text.split(",").filter((pair) => pair !== "").map((pair) => [pair.split(":")[0] ?? "", pair.split(":")[1] ?? ""]);
}

function protocolsOf(text: string): GroupProtocol[] {
  return pairs(text).map(([name, metadata]) => ({ name, metadata: metadata.startsWith("~") ? encodeSubscription({ topics: metadata.slice(1).split("+") }, 0) : Buffer.from(metadata) }));
}

function showMetadata(metadata: Buffer): string {
  const subscription = decodeSubscription(metadata);
  return subscription === undefined ? metadata.toString() : `~${subscription.topics.join("+")}`;
}

function partitionOf(word: string): TopicPartition {
  return { topic: word.slice(0, word.lastIndexOf("-")), partition: Number(word.slice(word.lastIndexOf("-") + 1)) };
}

function offsetOf(word: string, commitWallMs: number | undefined): CommitPartition {
  const [partition = "", value = ""] = word.split("=");
  const [offset = "", metadata = ""] = value.split("/");
  return { ...partitionOf(partition), offset: Number(offset), leaderEpoch: -1, metadata, commitWallMs };
}

function showJoin({ error, memberId, generation, protocolType, protocolName, leaderId, skipAssignment, members }: JoinResult): string {
  if (error !== ErrorCode.NONE) return `${errorName(error)} id=${memberId}${generation === -1 ? "" : ` gen=${generation} leader=${leaderId}`}`;
  const shown = members.map((member) => `${member.memberId}${member.instanceId === null ? "" : `@${member.instanceId}`}:${showMetadata(member.metadata)}`);
  return [`NONE id=${memberId} gen=${generation} ${protocolType}/${protocolName} leader=${leaderId}`, ...(skipAssignment ? ["skips"] : []), ...(shown.length === 0 ? [] : ["members", ...shown])].join(" ");
}

function showMember({ subscription, assignment, sessionTimeoutMs, rebalanceTimeoutMs }: StoredMember): string {
  return `${sessionTimeoutMs}/${rebalanceTimeoutMs} ${showMetadata(subscription)}="${assignment.toString()}"`;
}

function showRecord(record: StoredRecord): string {
  if (record.kind === "offset") {
    const { topic, partition, value } = record;
    return value === null ? `-${topic}-${partition}` : `${topic}-${partition}=${value.offset}/${value.metadata}${value.expireWallMs === undefined ? "" : ` expires=${value.expireWallMs}`}`;
  }
  const { groupId, value } = record;
  if (value === null) return `-${groupId}`;
  return [`${groupId} gen=${value.generation} ${value.protocolType}/${value.protocolName} leader=${value.leaderId}`, ...value.members.map((member) => `[${member.memberId} ${showMember(member)}]`)].join(" ");
}
