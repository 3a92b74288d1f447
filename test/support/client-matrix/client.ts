import { eventually, type ServerProcess, type ServerOptions } from "../processes.ts";

export type Codec = "none" | "gzip" | "snappy" | "lz4" | "zstd";

export interface Message {
  readonly key: string;
  readonly value: string;
}

/** A record as a consumer got it. */
export interface Seen {
  readonly partition: number;
  readonly offset: number;
  /** Null where it has none, or the client does not tell. */
  readonly key: string | null;
  readonly value: string;
}

export interface MemberOptions {
  /** Of a static member. */
  readonly instanceId?: string;
  /** Keeps what it has while the group rebalances (KIP-429). */
  readonly cooperative?: boolean;
  /** Has no more than one commit under way (confluent-kafka's driver). */
  readonly commitsOneByOne?: boolean;
}

/** What one of the world's clients can do, each call a process of its own; a call rejects with what the client had to say. */
export interface ClientUnderTest {
  readonly name: string;
  readonly codecs: readonly Codec[];
  /** Undefined: it can't. */
  readonly create?: (topic: string, partitions: number, replicas: number) => Promise<void>;
  /** Resolves when all are acknowledged by all in-sync replicas. */
  produce(topic: string, messages: readonly Message[], codec: Codec): Promise<void>;
  /** Joins a group from the beginning of the topic, with a session of 6 s, and commits what it has seen within a moment. */
  consumer(topic: string, group: string, options?: MemberOptions): Consumer;
  /** By partition; undefined: it can't. */
  readonly committed?: (group: string, topic: string) => Promise<ReadonlyMap<number, number>>;
}

/** What a driver says, a JSON object a line. */
export type ConsumerEvent =
  | { readonly event: "assigned"; readonly partitions: readonly number[] }
  /** Besides those that it has. */
  | { readonly event: "added"; readonly partitions: readonly number[] }
  | { readonly event: "revoked"; readonly partitions: readonly number[] }
  | { readonly event: "committed"; readonly offsets: Readonly<Record<string, number>> }
  | { readonly event: "error"; readonly message: string }
  | ({ readonly event: "record" } & Seen);

/** One member of a group: a process, and what it has told of itself. */
export class Consumer {
  readonly assigned = new Set<number>();
  readonly records: Seen[] = [];
  readonly errors: string[] = [];
  /** The latest that it was told are stored, by partition; empty for a client that does not tell. */
  readonly committed = new Map<number, number>();
  /** How often it was given partitions, or none. */
  assignments = 0;
  readonly process: ServerProcess;

  /** `start` begins the process with these options; `eventOf` understands its lines. */
  constructor(start: (options: ServerOptions) => ServerProcess, eventOf: (line: string) => ConsumerEvent | readonly ConsumerEvent[] | undefined) {
    this.process = start({ onLine: (line) => [eventOf(line) ?? []].flat().forEach((event) => this.#hear(event)) });
  }

  /** SIGTERM: it leaves its group. */
  async stop(): Promise<void> {
    void this.process.stop("SIGTERM");
    await eventually("a member that was told to stop has ended", () => !this.process.running);
  }

  async kill(): Promise<void> {
    await this.process.stop("SIGKILL");
  }

  #hear(event: ConsumerEvent): void {
    switch (event.event) {
      case "assigned":
      case "added":
        if (event.event === "assigned") this.assigned.clear();
        for (const partition of event.partitions) this.assigned.add(partition);
        this.assignments++;
        return;
      case "revoked":
        for (const partition of event.partitions) this.assigned.delete(partition);
        return;
      case "committed":
        for (const [partition, offset] of Object.entries(event.offsets)) this.committed.set(Number(partition), offset);
        return;
      case "error":
        this.errors.push(event.message);
        return;
      case "record":
        this.records.push({ partition: event.partition, offset: event.offset, key: event.key, value: event.value });
    }
  }
}

/** The line of a driver of ours; undefined for whatever its client prints besides. */
export function driverEvent(line: string): ConsumerEvent | undefined {
  return line.startsWith('{"event"') ? (JSON.parse(line) as ConsumerEvent) : undefined;
}
