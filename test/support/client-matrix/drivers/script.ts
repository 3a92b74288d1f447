import { run, ServerProcess } from "../../processes.ts";
import { Consumer, driverEvent, type ClientUnderTest, type Codec } from "../client.ts";

/** A client that is driven by a script of ours beside this file. */
export interface ScriptOptions {
  readonly name: string;
  /** The interpreter and the script. */
  readonly command: readonly [string, string];
  readonly codecs: readonly Codec[];
  readonly bootstrap: string;
  /** Told to every call of the script. */
  readonly options?: Readonly<Record<string, unknown>>;
}

/** Partitions of every topic that the scripts are asked about. */
const PARTITIONS = 3;

export function scriptedClient({ name, command: [interpreter, script], codecs, bootstrap, options }: ScriptOptions): ClientUnderTest {
  const argumentsOf = (command: string, more: object): string[] => [script, command, JSON.stringify({ bootstrap, ...options, ...more })];
  const call = (command: string, more: object, input = ""): Promise<string> => runScript(interpreter, argumentsOf(command, more), input);
  return {
    name,
    codecs,
    create: async (topic, partitions, replicas) => {
      await call("create", { topic, partitions, replicas });
    },
    produce: async (topic, messages, codec) => {
      await call("produce", { topic, codec }, messages.map((message) => `${JSON.stringify(message)}\n`).join(""));
    },
    consumer: (topic, group, member = {}) => {
      const args = argumentsOf("consume", { topic, group, ...member });
      return new Consumer((process) => new ServerProcess(interpreter, args, process), driverEvent);
    },
    committed: async (group, topic) => offsetsOf(await call("committed", { group, topic, partitions: PARTITIONS })),
  };
}

/** What a script printed; rejects with what it had to say where it fails. */
export async function runScript(interpreter: string, args: readonly string[], input = ""): Promise<string> {
  const { code, stdout, stderr } = await run(interpreter, args, { input });
  if (code !== 0) throw new Error(`${args.slice(0, 2).join(" ")} ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}

function offsetsOf(json: string): Map<number, number> {
  const stored = Object.entries(JSON.parse(json) as Record<string, number>);
  return new Map(stored.map(([partition, offset]) => [Number(partition), offset]));
}
