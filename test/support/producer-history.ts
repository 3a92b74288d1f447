import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { childEnvironment, eventually } from "./processes.ts";

/** Debian's, whatever other Python is on the path. */
const PYTHON = "/usr/bin/python3";

export interface ProducerOptions {
  readonly bootstrap: string;
  readonly topic: string;
  readonly partitions: number;
  /** Between one record to every partition and the next. */
  readonly pauseMs: number;
  readonly requestsInFlight: number;
  /** Otherwise a record whose answer was lost may stand in its partition twice, and the next of a partition waits for its answer. */
  readonly idempotent?: boolean;
}

export const hasConfluentKafka = existsSync("/usr/lib/python3/dist-packages/confluent_kafka");
if (!hasConfluentKafka) console.warn("SKIPPED what needs confluent-kafka: no /usr/lib/python3/dist-packages/confluent_kafka (apt-get install python3-confluent-kafka)");

/** confluent-kafka's producer with acks=all, idempotent unless it is said to be plain, in a process of its own, and what it was told of its records: 0, 1, 2, … in every partition. */
export class ProducerHistory {
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  /** By partition, the numbers in the order in which they were acknowledged. */
  readonly acknowledged: number[][];
  /** By partition, where each number stands, as its acknowledgement said; without those of which it did not. */
  readonly offsets: Map<number, number>[];
  /** Records whose delivery failed, and what the producer as a whole could not go on after. */
  readonly failures: string[] = [];
  #errors = "";
  #rest = "";

  constructor({ bootstrap, topic, partitions, pauseMs, requestsInFlight, idempotent = true }: ProducerOptions) {
    this.acknowledged = Array.from({ length: partitions }, () => []);
    this.offsets = Array.from({ length: partitions }, () => new Map());
    const script = join(import.meta.dirname, "producer-history.py");
    this.#child = spawn(PYTHON, [script, bootstrap, topic, String(partitions), String(pauseMs), String(requestsInFlight), idempotent ? "idempotent" : "plain"], { env: childEnvironment(), stdio: ["ignore", "pipe", "pipe"] });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#read(text));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#errors += text));
    this.#exited = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", resolve);
    });
  }

  /** Resolves when so many more have been acknowledged in every partition than now. A minute: sessions, elections and ISRs may have to change for it. */
  async more(count: number): Promise<void> {
    const goals = this.acknowledged.map(({ length }) => length + count);
    const reached = (): boolean => {
      if (this.#child.exitCode !== null || this.failures.length > 0) throw new Error(`the producer has failed: ${this.failures.slice(0, 3).join("; ")}\n${this.#errors}`);
      return goals.every((goal, partition) => (this.acknowledged[partition]?.length ?? 0) >= goal);
    };
    await eventually(`${count} more acknowledged records in every partition`, reached, 60_000).catch((error: unknown) => {
      throw new Error(`${String(error)}: wanted ${goals.join()}, have ${this.acknowledged.map(({ length }) => length).join()}\n${this.#errors}`);
    });
  }

  /** Ends it, once what is under way has been answered. */
  async finish(): Promise<void> {
    this.#child.kill("SIGTERM");
    const code = await this.#exited;
    if (code !== 0) this.failures.push(`it ended with ${code}: ${this.#errors}`);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const [said, partition, n, offset] = line.split(" ");
      if (said === "ack") {
        this.acknowledged[Number(partition)]?.push(Number(n));
        if (Number(offset) >= 0) this.offsets[Number(partition)]?.set(Number(n), Number(offset));
      } else this.failures.push(line);
    }
  }
}
