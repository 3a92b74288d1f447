import { must } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { decodeConfig, decodeConfigChange, type ConfigEntity, type EntityConfig } from "./config.ts";
import { paths } from "./paths.ts";
import { ask, expectCode, getData, listChildren, remove, ZkCode, type Step } from "./requests.ts";

/** Older notifications are removed by whichever broker sees them. */
const expiryMs = 15 * 60_000;

export interface ConfigChange {
  readonly entity: ConfigEntity;
  readonly config: EntityConfig;
}

export interface ConfigChangesRead {
  readonly changes: readonly ConfigChange[];
  /** Notifications or configurations that can't be read; they are skipped. */
  readonly errors: readonly Error[];
}

/**
 * Follows /config/changes for one broker: what has been announced since the last call, in order, with the
 * configuration as it is now. The first call gives all that is there, since a change may fall between the reading of
 * all configurations at the start and the first watch. Sets the child watch; call again when it fires and after a
 * new session. Source: ZkNodeChangeNotificationListener.scala, DynamicConfigManager.scala.
 */
export class ConfigChangeReader {
  #last = -1;

  *read(nowMs: number): Step<ConfigChangesRead> {
    const names = (yield* listChildren(paths.configChanges, true)).filter((name) => /^config_change_\d+$/.test(name));
    const reads = names.map((name) => getData(`${paths.configChanges}/${name}`));
    const replies = yield* ask(reads);
    const entities: ConfigEntity[] = [];
    const errors: Error[] = [];
    const expired: string[] = [];
    for (const [index, reply] of replies.entries()) {
      const request = must(reads[index], "request");
      if (expectCode(request, reply, ZkCode.NO_NODE).code === ZkCode.NO_NODE) continue;
      const name = must(names[index], "name");
      const path = `${paths.configChanges}/${name}`;
      if (nowMs - must(reply.stat, `stat of ${path}`).ctime > expiryMs) expired.push(path);
      const sequence = Number(name.slice("config_change_".length));
      if (sequence <= this.#last) continue;
      this.#last = sequence;
      try {
        entities.push(decodeConfigChange(path, reply.data));
      } catch (error) {
        errors.push(toError(error));
      }
    }
    const changes = yield* readConfigs(entities, errors);
    yield* ask(expired.map((path) => remove(path)));
    return { changes, errors };
  }
}

function* readConfigs(entities: readonly ConfigEntity[], errors: Error[]): Step<ConfigChange[]> {
  const reads = entities.map((entity) => getData(paths.config(entity.type, entity.name)));
  const changes: ConfigChange[] = [];
  for (const [index, reply] of (yield* ask(reads)).entries()) {
    const entity = must(entities[index], "entity");
    try {
      expectCode(must(reads[index], "request"), reply, ZkCode.NO_NODE);
      changes.push({ entity, config: decodeConfig(paths.config(entity.type, entity.name), reply.data) });
    } catch (error) {
      errors.push(toError(error));
    }
  }
  return changes;
}
