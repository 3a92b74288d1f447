import { badZnode, decodeJson, encodeJson } from "./json.ts";
import { configEntityTypes, type ConfigEntityType } from "./paths.ts";

/** What an entity overrides, by Kafka's own names: the data of /config/<type>/<name>. */
export type EntityConfig = ReadonlyMap<string, string>;

/** Source: ZkData.scala, ConfigEntityZNode. */
export function encodeConfig(config: EntityConfig): Buffer {
  return encodeJson({ version: 1, config: Object.fromEntries(config) });
}

/** No data means no overrides. Throws ERR_ZNODE. */
export function decodeConfig(path: string, data: Buffer | null): EntityConfig {
  if (data === null || data.length === 0) return new Map();
  const json = decodeJson(path, data);
  if (!json.has("config")) return new Map();
  const config = json.object("config");
  return new Map(config.keys().map((key) => [key, config.text(key)]));
}

/** Whose configuration has changed. `name` is sanitised; a user's client is `<user>/clients/<client>` of users. */
export interface ConfigEntity {
  readonly type: ConfigEntityType;
  readonly name: string;
}

/** The data of a new /config/changes/config_change_NNNNNNNNNN. Source: ZkData.scala, ConfigEntityChangeNotificationSequenceZNode. */
export function encodeConfigChange(entity: ConfigEntity): Buffer {
  return encodeJson({ version: 2, entity_path: `${entity.type}/${entity.name}` });
}

/** Version 2, and version 1 for topics and clients. Throws ERR_ZNODE. Source: DynamicConfigManager.scala. */
export function decodeConfigChange(path: string, data: Buffer | null): ConfigEntity {
  const json = decodeJson(path, data);
  const version = json.int("version");
  if (version === 1) {
    const type = json.text("entity_type");
    if (type !== "topics" && type !== "clients") throw json.bad("entity_type", "topics or clients");
    return { type, name: json.text("entity_name") };
  }
  if (version !== 2) throw badZnode(path, `version ${version} of a change notification is not known`);
  const entityPath = json.text("entity_path");
  const slash = entityPath.indexOf("/");
  const type = configEntityTypes.find((known) => known === entityPath.slice(0, Math.max(slash, 0)));
  if (type === undefined || slash + 1 === entityPath.length) throw json.bad("entity_path", `one of ${configEntityTypes.join(", ")}, a slash and a name`);
  return { type, name: entityPath.slice(slash + 1) };
}
