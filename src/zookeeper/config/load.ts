import type { Disk } from "../../host/disk.ts";
import { errorCode, OperationalError, toError } from "../../lib/error.ts";
import { parseProperties, type Properties } from "../../lib/properties.ts";
import { readMemberConfig, type MemberReading } from "./member-config.ts";

/**
 * What zookeeper-server-start is given: the file, and with it myid and the file that dynamicConfigFile names. Throws
 * ERR_CONFIG_FILE where a file can't be read, ERR_PROPERTIES, or a ConfigError with all there is to mend.
 */
export async function loadMemberConfig(disk: Pick<Disk, "readFile">, path: string): Promise<MemberReading> {
  const main = await load(disk, path);
  const dynamicPath = main.get("dynamicConfigFile")?.value.trim();
  const dataDir = main.get("dataDir")?.value.trim();
  return readMemberConfig({
    main,
    origin: path,
    myId: dataDir === undefined || dataDir === "" ? undefined : (await readIfThere(disk, `${dataDir}/myid`))?.toString("latin1"),
    dynamic: dynamicPath === undefined ? undefined : { lines: await load(disk, dynamicPath), version: versionOf(dynamicPath) },
  });
}

/** `zoo.cfg.dynamic.100000000` → 0x100000000. */
function versionOf(path: string): number {
  const version = /\.([0-9a-fA-F]{1,13})$/.exec(path)?.[1];
  return version === undefined ? 0 : Number.parseInt(version, 16);
}

async function load(disk: Pick<Disk, "readFile">, path: string): Promise<Properties> {
  const bytes = await readIfThere(disk, path);
  if (bytes === undefined) throw new OperationalError("ERR_CONFIG_FILE", `${path} can't be read: there is no such file`);
  return parseProperties(bytes.toString("latin1"), path);
}

async function readIfThere(disk: Pick<Disk, "readFile">, path: string): Promise<Buffer | undefined> {
  try {
    return await disk.readFile(path);
  } catch (thrown) {
    if (errorCode(thrown) === "ENOENT") return undefined;
    throw new OperationalError("ERR_CONFIG_FILE", `${path} can't be read: ${toError(thrown).message}`, { cause: thrown });
  }
}
