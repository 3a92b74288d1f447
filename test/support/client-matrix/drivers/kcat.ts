import { run, ServerProcess } from "../../processes.ts";
import { Consumer, type ClientUnderTest, type ConsumerEvent, type Seen } from "../client.ts";

export const hasKcat = await run("kcat", ["-V"]).then(
  () => true,
  () => false,
);
if (!hasKcat) console.warn("SKIPPED kcat: it can't be run (apt-get install kcat)");

const GROUP = ["session.timeout.ms=6000", "heartbeat.interval.ms=500", "auto.commit.interval.ms=200", "auto.offset.reset=earliest"];

/** kcat, Debian's librdkafka as a command. It can neither make topics nor read a group's offsets. */
export function kcat(bootstrap: string): ClientUnderTest {
  return {
    name: "kcat",
    codecs: ["none", "gzip", "snappy", "lz4", "zstd"],
    async produce(topic, messages, codec) {
      const input = messages.map(({ key, value }) => `${key}\t${value}\n`).join("");
      const { code, stderr } = await run("kcat", ["-P", "-b", bootstrap, "-t", topic, "-K", "\\t", "-z", codec, "-X", "acks=all"], { input });
      if (code !== 0) throw new Error(`kcat can't produce: ${stderr}`);
    },
    consumer(topic, group) {
      const args = ["-b", bootstrap, "-G", group, "-J", "-u", ...GROUP.flatMap((setting) => ["-X", setting]), topic];
      return new Consumer((options) => new ServerProcess("kcat", args, options), eventOf);
    },
  };
}

/** `% Group g rebalanced (memberid …): assigned: topic [0], topic [2]`, or a record in kcat's JSON. */
function eventOf(line: string): ConsumerEvent | undefined {
  if (line.startsWith("{")) return { event: "record", ...kcatRecord(line) };
  if (line.startsWith("% ERROR")) return { event: "error", message: line };
  const rebalanced = /^% Group .* rebalanced .*: (assigned|revoked):(.*)$/.exec(line);
  if (rebalanced === null) return undefined;
  const partitions = [...(rebalanced[2] ?? "").matchAll(/\[(\d+)\]/g)].map(([, partition]) => Number(partition));
  return { event: rebalanced[1] as "assigned" | "revoked", partitions };
}

/** A line of `kcat -J`. */
export function kcatRecord(line: string): Seen {
  const { partition, offset, key = null, payload } = JSON.parse(line) as { partition: number; offset: number; key?: string | null; payload: string };
  return { partition, offset, key, value: payload };
}
