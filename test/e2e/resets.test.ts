import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeFrame } from "../../src/kafka/protocol/frame.ts";
import { requestHeader } from "../../src/kafka/protocol/header.ts";
import { metadata } from "../../src/kafka/protocol/messages/metadata.ts";
import { NO_SESSION, ZXID_ZERO } from "../../src/zookeeper/protocol/ids.ts";
import { connectRequest } from "../../src/zookeeper/protocol/records.ts";
import { startOdradekBroker, type OdradekBroker } from "../support/odradek-broker.ts";
import { eventually, freePort, ServerProcess, temporaryDirectory } from "../support/processes.ts";

/** Processes of both servers under clients that vanish: what each of them leaves behind is nothing. */

const CONNECTIONS = 50_000;
/** Before what is measured: code is compiled, and the heap has the size that such work gives it. */
const WARM_UP = 10_000;
/** Ten seconds on two cores with nothing else to do. */
const TIMEOUT_MS = 240_000;
const AT_ONCE = 250;
/** A connection that is kept costs 5 KB at the least (a socket, its stream, its decoder): 50,000 of them would take 250 MB. The garbage of a busy heap is less than half of it. */
const GROWTH_BYTES_MAX = 100 * 1024 * 1024;
/** Kept for a moment: those whose reset has not been read yet. */
const DESCRIPTORS_MORE_MAX = 5;

const directory = temporaryDirectory();
let member: ServerProcess;
let memberPort: number;
let broker: OdradekBroker;

beforeAll(async () => {
  memberPort = await freePort();
  const config = join(directory.path, "zookeeper.properties");
  writeFileSync(config, `dataDir=${directory.path}/data\nclientPort=${memberPort}\nmaxClientCnxns=0\ntickTime=500\nadmin.enableServer=false\n4lw.commands.whitelist=*\n`);
  member = new ServerProcess(resolve(import.meta.dirname, "../../bin/zookeeper-server-start.sh"), [config]);
  await eventually("the member serves", () => member.output.includes("serving clients"));
  broker = await startOdradekBroker({ brokerId: 1, zookeeper: `127.0.0.1:${memberPort}`, settings: { "offsets.topic.replication.factor": "1" } });
});

afterAll(async () => {
  await broker.remove();
  await member.stop("SIGKILL");
  directory.remove();
});

/** What a client sends before it resets the connection; `answered`: it waits for the first byte, and leaves the rest unread. */
interface Manner {
  readonly bytes: Buffer | undefined;
  readonly answered: boolean;
}

function manners(request: Buffer): readonly Manner[] {
  return [
    { bytes: undefined, answered: false },
    { bytes: request.subarray(0, request.length - 3), answered: false },
    { bytes: request, answered: false },
    { bytes: request, answered: true },
  ];
}

/** Resolves when the connection is gone. Rejects where it could not be made. */
function resetOne(port: number, { bytes, answered }: Manner): Promise<void> {
  return new Promise((settled, failed) => {
    const socket: Socket = connect({ port, host: "127.0.0.1" }, () => {
      if (answered) socket.once("readable", () => socket.resetAndDestroy());
      if (bytes === undefined) socket.resetAndDestroy();
      else socket.write(bytes, () => !answered && socket.resetAndDestroy());
    });
    socket.on("error", failed);
    socket.on("close", () => settled());
  });
}

async function resetMany(port: number, count: number, kinds: readonly Manner[]): Promise<void> {
  let begun = 0;
  const next = async (): Promise<void> => {
    while (begun < count) {
      const manner = kinds[begun++ % kinds.length];
      if (manner !== undefined) await resetOne(port, manner);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
}

function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) * 1024;
}

const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** Whether a request is answered. */
function answers(port: number, request: Buffer): Promise<boolean> {
  return new Promise((settled, failed) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => socket.write(request));
    socket.once("data", () => {
      socket.destroy();
      settled(true);
    });
    socket.on("error", failed);
  });
}

/** Not what connections bring about. */
const SLOW_DISK = "syncing the transaction log took long";

async function outlives(server: { readonly pid: number; readonly port: number; readonly expected: string; output(): string }, request: Buffer): Promise<void> {
  const { pid, port } = server;
  await resetMany(port, WARM_UP, manners(request));
  await sleep(500);
  const before = { resident: residentBytes(pid), descriptors: descriptors(pid), output: server.output().length };
  await resetMany(port, CONNECTIONS, manners(request));
  await eventually("the descriptors are given back", () => descriptors(pid) <= before.descriptors + DESCRIPTORS_MORE_MAX);
  expect(await answers(port, request)).toBe(true);
  await eventually("the memory is given back", () => residentBytes(pid) < before.resident + GROWTH_BYTES_MAX);
  const lines = server.output().slice(before.output).split("\n");
  const said = [server.expected, SLOW_DISK];
  expect(lines.filter((line) => line !== "" && !said.some((text) => line.includes(text)))).toEqual([]);
}

test.skipIf(process.platform !== "linux")("a broker outlives 50,000 connections that are reset at once, in the midst of a request, and with an answer unread", { timeout: TIMEOUT_MS }, async () => {
  const request = Buffer.concat(
    encodeFrame({ schema: requestHeader, version: 2, value: { requestApiKey: 3, requestApiVersion: 9, correlationId: 1, clientId: "vanishing" } }, { schema: metadata.request, version: 9, value: { topics: [], includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false } }),
  );
  await outlives({ pid: broker.pid() ?? 0, port: broker.port, expected: "nothing", output: () => broker.output() }, request);
});

test.skipIf(process.platform !== "linux")("a member outlives 50,000 connections that are reset at once, in the midst of a connect request, and with a session begun, of which one line is told when it expires", { timeout: TIMEOUT_MS }, async () => {
  const body = connectRequest.encode({ protocolVersion: 0, lastZxidSeen: ZXID_ZERO, timeOut: 1000, sessionId: NO_SESSION, passwd: Buffer.alloc(16) });
  const head = Buffer.alloc(4);
  head.writeInt32BE(body.length);
  await outlives({ pid: member.child.pid ?? 0, port: memberPort, expected: "a session has expired", output: () => member.output }, Buffer.concat([head, body]));
});
