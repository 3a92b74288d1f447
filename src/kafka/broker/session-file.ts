import type { Disk } from "../../host/disk.ts";
import { replaceTextFile } from "../../host/durable-file.ts";
import { errorCode } from "../../lib/error.ts";
import { parseProperties } from "../../lib/properties.ts";
import { paths } from "../znodes/paths.ts";
import { askOne, expectCode, getData, remove, ZkCode, type Step } from "../znodes/requests.ts";

/** Beside meta.properties; Apache Kafka overlooks it. */
const SESSION_FILE = ".zookeeper-session";

/** Sessions that a broker may have held and not yet lost: each start that was cut short leaves one more. */
const SESSIONS_MAX = 8;

/**
 * The ZooKeeper sessions in which this broker has registered, or was about to: so that a broker that was killed and
 * starts again at once knows which ephemeral nodes a dead life of its own has left. Without the file it can't start
 * until that session has expired.
 */
export async function readSessionFile(disk: Disk, directory: string, brokerId: number): Promise<bigint[]> {
  const path = `${directory}/${SESSION_FILE}`;
  let text: string;
  try {
    text = (await disk.readFile(path)).toString("latin1");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
  const properties = parseProperties(text, path);
  if (properties.get("broker.id")?.value !== String(brokerId)) return [];
  const ids = properties.get("session.ids")?.value.split(",") ?? [];
  return ids.filter((id) => /^0x[0-9a-f]{1,16}$/.test(id)).map((id) => BigInt.asIntN(64, BigInt(id)));
}

/** Newest first. Synced: nodes that all lost power, and forgot, would end again and again before their ensemble could expire a session. */
export async function writeSessionFile(disk: Disk, directory: string, brokerId: number, sessions: readonly bigint[]): Promise<void> {
  const ids = sessions.slice(0, SESSIONS_MAX).map((id) => `0x${BigInt.asUintN(64, id).toString(16)}`);
  await replaceTextFile(disk, directory, SESSION_FILE, `broker.id=${brokerId}\nsession.ids=${ids.join(",")}\n`);
}

/** Removes what dead sessions of this broker's own hold: its registration, and /controller, so that the cluster elects at once. */
export function* removeOwnNodes(brokerId: number, deadSessions: readonly bigint[]): Step<void> {
  for (const path of [paths.controller, paths.broker(brokerId)]) {
    const request = getData(path);
    const found = expectCode(request, yield* askOne(request), ZkCode.NO_NODE);
    if (found.stat === undefined || !deadSessions.includes(found.stat.ephemeralOwner)) continue;
    const removal = remove(path, found.stat.version);
    expectCode(removal, yield* askOne(removal), ZkCode.NO_NODE, ZkCode.BAD_VERSION);
  }
}
