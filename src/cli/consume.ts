import { Consumer, type ConsumedRecord, type ConsumerOptions } from "../kafka/client/consumer.ts";
import { KafkaClient, type Endpoint } from "../kafka/client/kafka-client.ts";
import { errorCode, toError } from "../lib/error.ts";
import { endpointText, troubleTeller } from "./bootstrap.ts";
import { unlessAborted, type ToolIo } from "./tool-io.ts";

export interface ConsumeRequest {
  readonly bootstrap: readonly Endpoint[];
  readonly clientId: string;
  readonly requestTimeoutMs: number;
  readonly consumer: Omit<ConsumerOptions, "onTrouble">;
  /** How many at most; Infinity: no end. */
  readonly recordsMax: number;
  /** Ends where nothing comes for so long; undefined: waits on. */
  readonly idleMs: number | undefined;
  /** Bytes to print; throws ERR_FORMAT for a record that can't be printed so. */
  readonly format: (record: ConsumedRecord) => Buffer;
  /** What can't be printed is told and left out, and no end. */
  readonly skipErrors: boolean;
}

export interface ConsumeOutcome {
  /** `closed`: nobody reads the output any more. */
  readonly ended: "max" | "idle" | "closed" | "interrupt" | "failure";
  readonly count: number;
}

const POLL_MS = 10_000;
/** So much goes out at once. */
const WRITE_BYTES = 65_536;
/** The last commit and the leave may take so long. */
const CLOSE_MS_MAX = 5000;

/**
 * Prints records until there are enough, or something else ends it. What was handed to the output, and nothing else, is
 * consumed: that is what a group commits. What goes wrong is told on `err`.
 */
export async function consume(request: ConsumeRequest, io: ToolIo): Promise<ConsumeOutcome> {
  const { bootstrap, clientId, requestTimeoutMs, recordsMax, idleMs } = request;
  const { host, interrupt, err } = io;
  const client = new KafkaClient({ host, bootstrap, clientId, requestTimeoutMs, random: host.random });
  const tell = troubleTeller(host, err);
  const where = bootstrap.map(endpointText).join(", ");
  const onTrouble = (error: Error): void => {
    const unreachable = errorCode(error)?.startsWith("E") === true && client.brokerIds.length === 0;
    tell(unreachable ? new Error(`no broker answers at ${where} yet: ${error.message}`) : error);
  };
  const consumer = new Consumer(client, { ...request.consumer, onTrouble });
  const printer = new Printer(consumer, request, io);
  let ended: ConsumeOutcome["ended"] | undefined;
  try {
    while (ended === undefined) {
      if (printer.count >= recordsMax) {
        ended = "max";
        continue;
      }
      const records = await unlessAborted(consumer.poll(idleMs ?? POLL_MS), interrupt);
      if (records === undefined) ended = "interrupt";
      else if (records.length > 0) ended = await printer.print(records);
      else if (idleMs !== undefined) {
        err(`no record has come for ${idleMs} ms`);
        ended = "idle";
      }
    }
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    err(toError(error).message);
    ended = "failure";
  } finally {
    await Promise.race([consumer.close(), client.pause(CLOSE_MS_MAX)]);
    await client.close();
  }
  return { ended, count: printer.count };
}

class Printer {
  readonly #consumer: Consumer;
  readonly #request: ConsumeRequest;
  readonly #io: ToolIo;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #last: ConsumedRecord | undefined;
  /** Records that were looked at. */
  count = 0;

  constructor(consumer: Consumer, request: ConsumeRequest, io: ToolIo) {
    this.#consumer = consumer;
    this.#request = request;
    this.#io = io;
  }

  /** Of one partition. Gives what ends it all, or undefined. */
  async print(records: readonly ConsumedRecord[]): Promise<ConsumeOutcome["ended"] | undefined> {
    const { recordsMax, format, skipErrors } = this.#request;
    for (const record of records) {
      if (this.count >= recordsMax) break;
      this.count++;
      try {
        const piece = format(record);
        this.#pieces.push(piece);
        this.#bytes += piece.length;
      } catch (error) {
        if (errorCode(error) !== "ERR_FORMAT") throw error;
        this.#io.err(toError(error).message);
        if (!skipErrors) return (await this.#flush()) ?? "failure";
      }
      this.#last = record;
      if (this.#bytes < WRITE_BYTES) continue;
      const ended = await this.#flush();
      if (ended !== undefined) return ended;
    }
    return this.#flush();
  }

  async #flush(): Promise<"closed" | "interrupt" | undefined> {
    const last = this.#last;
    const bytes = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
    this.#last = undefined;
    const written = bytes.length === 0 || (await unlessAborted(this.#io.output.write(bytes), this.#io.interrupt));
    if (written === undefined) return "interrupt";
    if (!written) {
      this.#io.err("nobody reads the output any more");
      return "closed";
    }
    if (last !== undefined) this.#consumer.consumed(last);
    return undefined;
  }
}
