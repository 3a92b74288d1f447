import type { Disk } from "../../host/disk.ts";
import { errorCode, OperationalError } from "../../lib/error.ts";
import { epochOf, type Zxid } from "../protocol/ids.ts";

/**
 * What a member has promised: the newest epoch it has accepted a leader for, and the epoch of the history that it
 * has taken over. Decimal texts beside the snapshots. Source: QuorumPeer.
 */
export class EpochFiles {
  readonly #disk: Disk;
  readonly #directory: string;
  #accepted: number;
  #current: number;

  private constructor(disk: Disk, directory: string, accepted: number, current: number) {
    this.#disk = disk;
    this.#directory = directory;
    this.#accepted = accepted;
    this.#current = current;
  }

  /** Missing files are made from the epoch of the last transaction. ZK_EPOCH where files and log contradict each other. */
  static async load(disk: Disk, directory: string, lastZxid: Zxid): Promise<EpochFiles> {
    const epoch = epochOf(lastZxid);
    const accepted = await readEpoch(disk, directory, ACCEPTED);
    const current = await readEpoch(disk, directory, CURRENT);
    const files = new EpochFiles(disk, directory, accepted ?? epoch, current ?? epoch);
    if (epoch > files.current) {
      // A crash between logging what a new leader sent and taking over its epoch: the log holds a prefix of that
      // leader's history, which counts as the history of its last transaction's epoch.
      if (accepted === undefined || accepted < epoch) throw contradiction(directory, `currentEpoch is ${files.current}, but the last transaction is of epoch ${epoch}`);
      await files.setCurrent(epoch);
    } else if (current === undefined) await files.setCurrent(epoch);
    if (accepted === undefined) await files.setAccepted(epoch);
    if (files.accepted < files.current) throw contradiction(directory, `acceptedEpoch is ${files.accepted}, below currentEpoch ${files.current}`);
    return files;
  }

  get accepted(): number {
    return this.#accepted;
  }

  get current(): number {
    return this.#current;
  }

  /** On the disk when the promise is fulfilled. */
  async setAccepted(epoch: number): Promise<void> {
    await this.#write(ACCEPTED, epoch);
    this.#accepted = epoch;
  }

  async setCurrent(epoch: number): Promise<void> {
    await this.#write(CURRENT, epoch);
    this.#current = epoch;
  }

  async #write(name: string, epoch: number): Promise<void> {
    const path = `${this.#directory}/${name}`;
    await writeDurably(this.#disk, path, Buffer.from(String(epoch)));
    await this.#disk.syncDirectory(this.#directory);
  }
}

const ACCEPTED = "acceptedEpoch";
const CURRENT = "currentEpoch";

/** Through `<path>.tmp`; the rename is durable once the directory is synced. */
async function writeDurably(disk: Disk, path: string, content: Buffer): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await disk.open(temporary, "truncate");
  try {
    await file.write([content], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(temporary, path);
}

async function readEpoch(disk: Disk, directory: string, name: string): Promise<number | undefined> {
  const path = `${directory}/${name}`;
  let text: string;
  try {
    text = (await disk.readFile(path)).toString("latin1").split(/\r?\n/, 1)[0] ?? "";
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  const epoch = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(epoch)) throw new OperationalError("ZK_EPOCH", `${path} holds no epoch ("${text}"): restore it, or take this member's data from another one`);
  return epoch;
}

function contradiction(directory: string, what: string): OperationalError {
  return new OperationalError("ZK_EPOCH", `${directory}: ${what}: files of different members or times are mixed here`);
}
