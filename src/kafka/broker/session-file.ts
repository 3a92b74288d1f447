import type { Disk } from "../../host/disk.ts";
import { errorCode } from "../../lib/error.ts";
import { parseProperties } from "../../lib/properties.ts";
import { paths } from "../znodes/paths.ts";
import { askOne, expectCode, getData, remove, ZkCode, type Step } from "../znodes/requests.ts";

/** Beside meta.properties; Apache Kafka overlooks it. */
const SESSION_FILE = ".zookeeper-session";

/**
 * Keeps the id of the broker's ZooKeeper session, so that a broker that was killed and starts again at once knows
 * which ephemeral nodes a dead life of its own has left. Lost, or of another broker, it only costs the wait until that
 * session expires.
 */
export async function readSessionFile(disk: Disk, directory: string, brokerId: number): Promise<bigint | undefined> {
  const path = `${directory}/${SESSION_FILE}`;
  let text: string;
  try {
    text = (await disk.readFile(path)).toString("latin1");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  const properties = parseProperties(text, path);
  const session = properties.get("session.id")?.value ?? "";
  return properties.get("broker.id")?.value === String(brokerId) && /^0x[0-9a-f]{1,16}$/.test(session) ? BigInt.asIntN(64, BigInt(session)) : undefined;
}

export async function writeSessionFile(disk: Disk, directory: string, brokerId: number, sessionId: bigint): Promise<void> {
  const path = `${directory}/${SESSION_FILE}`;
  const file = await disk.open(`${path}.tmp`, "truncate");
  try {
    await file.write([Buffer.from(`broker.id=${brokerId}\nsession.id=0x${BigInt.asUintN(64, sessionId).toString(16)}\n`)], 0);
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.tmp`, path);
}

/** Removes /controller where a dead session of this broker's own holds it: the cluster elects at once. */
export function* removeOwnController(deadSession: bigint): Step<void> {
  const request = getData(paths.controller);
  const found = expectCode(request, yield* askOne(request), ZkCode.NO_NODE);
  if (found.stat?.ephemeralOwner !== deadSession) return;
  const removal = remove(paths.controller, found.stat.version);
  expectCode(removal, yield* askOne(removal), ZkCode.NO_NODE, ZkCode.BAD_VERSION);
}
