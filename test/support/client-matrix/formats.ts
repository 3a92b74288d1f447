import { beforeAll, describe, expect, test } from "vitest";
import type { KafkaCluster } from "../kafka-cluster.ts";
import type { ClientUnderTest, Codec, Message, Seen } from "./client.ts";
import { slug } from "./judge.ts";

/** What was really written: some can't choose. */
export interface Written {
  readonly key: string | null;
  readonly value: string;
}

/** A client, or the way of one, of the days before format 2. */
export interface OldClient {
  readonly name: string;
  readonly codecs: readonly Codec[];
  /** To a topic of one partition; resolves when all are acknowledged, with what they were. */
  produce(topic: string, messages: readonly Message[], codec: Codec): Promise<readonly Written[]>;
  /** So many records of partition 0 from an offset on, fetched in no more than so many bytes. */
  read(topic: string, options: { readonly from: number; readonly count: number; readonly fetchBytes?: number }): Promise<readonly Seen[]>;
}

export interface FormatSubject {
  readonly cluster: KafkaCluster;
  readonly client: OldClient;
  /** Reads and writes format 2. */
  readonly modern: ClientUnderTest & Pick<OldClient, "read">;
  /** What `writeModern` has made. */
  readonly topic: string;
}

/** What a topic of `writeModern` holds of each codec, in one batch. */
const BATCH = 300;
const MODERN_CODECS: readonly Codec[] = ["none", "gzip", "snappy", "lz4"];

/** A topic of one partition with a large batch of every codec that old clients know, in this order. */
export async function writeModern(cluster: KafkaCluster, modern: ClientUnderTest, topic: string): Promise<void> {
  await cluster.createTopic(topic, 1);
  await cluster.inSync(topic);
  for (const codec of MODERN_CODECS) await modern.produce(topic, messagesOf(codec, BATCH), codec);
}

/**
 * An old client's records are read by a new one as they were written, a new one's by the old one, from anywhere in a
 * batch. `limited`: also with a limit that is smaller than a batch, which Apache's broker of 2.7.1 does not survive
 * with every client.
 */
export function judgeFormats(name: string, subject: () => FormatSubject, options: { readonly limited: boolean }): void {
  describe(name, () => {
    let it: FormatSubject;

    beforeAll(() => {
      it = subject();
    });

    test("what it produces with each of its codecs is read as it was written", async () => {
      const judge = async (codec: Codec): Promise<void> => {
        const topic = `formats-${slug(name)}-${codec}`;
        await it.cluster.createTopic(topic, 1);
        await it.cluster.inSync(topic);
        const written = await it.client.produce(topic, messagesOf(codec, 60), codec);
        const read = await it.modern.read(topic, { from: 0, count: written.length });
        expect(read).toEqual(written.map((message, offset) => ({ partition: 0, offset, ...message })));
      };
      await Promise.all(it.client.codecs.map((codec) => judge(codec)));
    });

    test("batches of every codec that a new client wrote are read from their beginning", async () => {
      await expectRead({ from: 0, count: BATCH * it.client.codecs.length });
    });

    test("and from their midst", async () => {
      await Promise.all(it.client.codecs.map((_codec, index) => expectRead({ from: index * BATCH + 150, count: 10 })));
    });

    test.runIf(options.limited)("and with a limit that is smaller than a batch", async () => {
      await expectRead({ from: 0, count: BATCH * it.client.codecs.length, fetchBytes: 1000 });
    });

    async function expectRead(wanted: { readonly from: number; readonly count: number; readonly fetchBytes?: number }): Promise<void> {
      const all = MODERN_CODECS.flatMap((codec) => messagesOf(codec, BATCH)).map((message, offset): Seen => ({ partition: 0, offset, ...message }));
      expect(await it.client.read(it.topic, wanted)).toEqual(all.slice(wanted.from, wanted.from + wanted.count));
    }
  });
}

function messagesOf(codec: Codec, count: number): Message[] {
  return Array.from({ length: count }, (_, index) => ({ key: `${codec}-${index}`, value: `${index} ${"of many ".repeat(index % 7)}` }));
}
