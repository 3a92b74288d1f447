import type { Disk } from "../../host/disk.ts";
import { OperationalError, toError } from "../../lib/error.ts";
import { mergeProperties, parseProperties, type Properties, type Property } from "../../lib/properties.ts";
import { readBrokerConfig, type BrokerReading } from "./broker-config.ts";

export interface LoadedBroker extends BrokerReading {
  /** The file with the overrides over it, as `BrokerLayers` wants it. */
  readonly static: Properties;
}

/**
 * What kafka-server-start is given: server.properties and the arguments after it. Throws ERR_USAGE, ERR_CONFIG_FILE
 * where the file can't be read, ERR_PROPERTIES, or a ConfigError with all there is to mend.
 */
export async function loadBrokerConfig(disk: Pick<Disk, "readFile">, path: string, args: readonly string[]): Promise<LoadedBroker> {
  const overrides = parseOverrides(args);
  const bytes = await disk.readFile(path).catch((thrown: unknown) => {
    throw new OperationalError("ERR_CONFIG_FILE", `${path} can't be read: ${toError(thrown).message}`, { cause: thrown });
  });
  const properties = mergeProperties(parseProperties(bytes.toString("latin1"), path), overrides);
  return { static: properties, ...readBrokerConfig(properties, path) };
}

/**
 * `--override key=value` or `--override=key=value`, as often as wanted; a key without "=" is set to the empty text.
 * Throws ERR_USAGE at anything else. Source: core/src/main/scala/kafka/Kafka.scala.
 */
export function parseOverrides(args: readonly string[]): Properties {
  const overrides = new Map<string, Property>();
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? "";
    const text = arg === "--override" ? args[++index] : arg.startsWith("--override=") ? arg.slice("--override=".length) : undefined;
    if (text === undefined) throw new OperationalError("ERR_USAGE", `${arg}: expected --override key=value`);
    const equals = text.indexOf("=");
    const key = equals === -1 ? text : text.slice(0, equals);
    overrides.set(key, { key, value: equals === -1 ? "" : text.slice(equals + 1), origin: "--override", line: undefined });
  }
  return overrides;
}
