import { KafkaClient, type Endpoint } from "../kafka/client/kafka-client.ts";
import { Producer, type ProducerOptions, type RecordToSend } from "../kafka/client/producer.ts";
import { Codec } from "../kafka/records/batch.ts";
import { errorCode, toError } from "../lib/error.ts";
import { reachCluster, troubleTeller } from "./bootstrap.ts";
import { splitLines } from "./lines.ts";
import { parseLine, type LineRecord, type LineRules } from "./record-line.ts";
import { unlessAborted, untilAborted, type ToolIo } from "./tool-io.ts";

export interface ProduceRequest {
  readonly bootstrap: readonly Endpoint[];
  readonly clientId: string;
  readonly topic: string;
  readonly rules: LineRules;
  /** Each record waits until the one before is acknowledged; the first failure is the end. */
  readonly sync: boolean;
  /** `metadataTimeoutMs` is also how long the first broker may take to answer. */
  readonly producer: Omit<ProducerOptions, "onTrouble">;
}

export interface ProduceOutcome {
  readonly ended: "input" | "interrupt" | "failure";
  /** Records that were not acknowledged. */
  readonly failed: number;
}

/** What --compression names. */
export const CODECS: ReadonlyMap<string, number> = new Map(Object.entries(Codec));

const PROMPT = Buffer.from(">");

/**
 * A record for each line of the input, until it ends. Whatever ends it, all that was read before is sent. What goes
 * wrong is told on `err`; rejects (ERR_UNREACHABLE) where no broker answers.
 */
export async function produce({ bootstrap, clientId, topic, rules, sync, producer: options }: ProduceRequest, io: ToolIo): Promise<ProduceOutcome> {
  const { host, interrupt, err } = io;
  const client = new KafkaClient({ host, bootstrap, clientId, requestTimeoutMs: options.requestTimeoutMs, random: host.random });
  try {
    const reached = await unlessAborted(reachCluster(client, bootstrap, options.metadataTimeoutMs, err).then(() => true), interrupt);
    if (reached === undefined) return { ended: "interrupt", failed: 0 };
    const producer = new Producer(client, { ...options, onTrouble: troubleTeller(host, err) });
    let failed = 0;
    const fail = (record: LineRecord, thrown: unknown): void => {
      failed++;
      err(failureLine(topic, record, toError(thrown)));
    };
    const prompt = async (): Promise<void> => {
      if (io.interactive) await io.output.write(PROMPT);
    };
    let ended: ProduceOutcome["ended"] = "input";
    let number = 0;
    await prompt();
    for await (const line of splitLines(untilAborted(io.input, interrupt))) {
      if (interrupt.aborted) break;
      let record: LineRecord;
      try {
        record = parseLine(line, ++number, rules);
      } catch (error) {
        if (errorCode(error) !== "ERR_LINE") throw error;
        err(toError(error).message);
        ended = "failure";
        break;
      }
      const toSend: RecordToSend = { topic, ...record };
      const sent = producer.send(toSend).then(() => true, (error: unknown) => fail(record, error));
      if (sync && (await sent) !== true) {
        ended = "failure";
        break;
      }
      if (producer.pressed) await producer.drained();
      await prompt();
    }
    await producer.close();
    return { ended: interrupt.aborted ? "interrupt" : ended, failed };
  } finally {
    await client.close();
  }
}

function failureLine(topic: string, { key, value }: LineRecord, error: Error): string {
  const size = (bytes: Buffer | null): string => (bytes === null ? "null" : `${bytes.length} bytes`);
  return `Error when sending message to topic ${topic} with key: ${size(key)}, value: ${size(value)} with error: ${error.message}`;
}
