import { ConfigReading } from "../../lib/config/read.ts";
import type { ConfigValues } from "../../lib/config/key.ts";
import type { Properties } from "../../lib/properties.ts";
import { isEnsembleKey, readEnsemble, voters, type Address, type Ensemble, type Member } from "./ensemble.ts";
import { memberKeys } from "./member-keys.ts";

type Values = ConfigValues<typeof memberKeys>;

interface Derived {
  /** `quorum`: with other members, or alone where standaloneEnabled is false. */
  readonly mode: "standalone" | "quorum";
  /** The content of myid; undefined where a standalone member has none. */
  readonly myId: number | undefined;
  readonly ensemble: Ensemble;
  /** This member's own server line; undefined where standalone. */
  readonly self: Member | undefined;
  readonly role: Member["role"];
  /** Undefined: no port for clients. */
  readonly clientAddress: Address | undefined;
  readonly dataLogDir: string;
  /** In ms. */
  readonly minSessionTimeout: number;
  readonly maxSessionTimeout: number;
}

type Replaced = keyof Derived | "clientPort" | "clientPortAddress" | "peerType" | "syncEnabled" | "observerSyncEnabled" | "dynamicConfigFile";

/** A member's settings by camel-case name. Times in ms unless in ticks (`initLimit`, `syncLimit`); `preAllocSize` in KiB. */
export type MemberConfig = Omit<Values, Replaced> & Derived;

export interface MemberFiles {
  /** The main file. */
  readonly main: Properties;
  /** Its name, for messages. */
  readonly origin: string;
  /** The content of <dataDir>/myid, where there is one. */
  readonly myId: string | undefined;
  /** What dynamicConfigFile names, where the main file names one; `version` is the hexadecimal ending of its name, or 0. */
  readonly dynamic: { readonly lines: Properties; readonly version: number } | undefined;
}

export interface MemberReading {
  readonly config: MemberConfig;
  readonly warnings: readonly string[];
}

/**
 * Checks what ZooKeeper 3.5.9 checks (server/quorum/QuorumPeerConfig.java) and throws a ConfigError that lists all
 * there is to mend.
 */
export function readMemberConfig(files: MemberFiles): MemberReading {
  const { main, origin, dynamic } = files;
  const reading: Reading = new ConfigReading(memberKeys, main, {
    origin,
    accepts: (key) => isEnsembleKey(key) || key === "version",
    unknown: unknownFate,
  });
  const { values } = reading;
  if (dynamic !== undefined) checkDynamic(reading, main, dynamic.lines);
  const { ensemble: read, problems } = readEnsemble(dynamic?.lines ?? main);
  const ensemble: Ensemble = { ...read, version: dynamic?.version ?? read.version };
  for (const { property, message } of problems) reading.fault(property, message);

  const mode = values.standaloneEnabled && voters(ensemble).length <= 1 ? "standalone" : "quorum";
  const myId = readMyId(reading, files, mode);
  const self = mode === "quorum" ? ensemble.members.find((member) => member.id === myId) : undefined;
  checkEnsemble(reading, ensemble, mode);
  if (mode === "quorum" && myId !== undefined && problems.length === 0) {
    const known = ensemble.members.map((member) => member.id).join(", ");
    reading.expect(self !== undefined, ["dataDir"], `${values.dataDir}/myid holds ${myId}, but there is no server.${myId}: the members are ${known}`);
  }
  const role = self?.role ?? "participant";
  if (reading.has("peerType") && role !== values.peerType) reading.warn(main.get("peerType"), `the server line makes this member a ${role}, which holds`);

  const minSessionTimeout = values.minSessionTimeout === -1 ? values.tickTime * 2 : values.minSessionTimeout;
  const maxSessionTimeout = values.maxSessionTimeout === -1 ? values.tickTime * 20 : values.maxSessionTimeout;
  reading.expect(
    minSessionTimeout <= maxSessionTimeout,
    ["minSessionTimeout", "maxSessionTimeout", "tickTime"],
    `the shortest session timeout, ${minSessionTimeout} ms, is above the longest, ${maxSessionTimeout} ms`,
  );
  const clientAddress = readClientAddress(reading, self);
  if (values.autopurgeSnapRetainCount < 3) reading.warn(main.get("autopurge.snapRetainCount"), "means 3, the least");
  reading.settle();
  const config: MemberConfig = {
    ...values,
    mode,
    myId,
    ensemble,
    self,
    role,
    clientAddress,
    dataLogDir: values.dataLogDir ?? values.dataDir,
    minSessionTimeout,
    maxSessionTimeout,
    autopurgeSnapRetainCount: Math.max(3, values.autopurgeSnapRetainCount),
  };
  return { config, warnings: reading.warnings.map((warning) => warning.message) };
}

type Reading = ConfigReading<typeof memberKeys>;

function unknownFate(key: string): string {
  const plain = key.replace(/^zookeeper\./, "");
  const meant = plain !== key && Object.hasOwn(memberKeys, plain) ? `; write ${plain}` : "";
  return `Apache's ZooKeeper would set the Java system property zookeeper.${key}, here nothing reads it${meant}`;
}

function checkDynamic(reading: Reading, main: Properties, dynamic: Properties): void {
  for (const property of main.values()) {
    if (isEnsembleKey(property.key)) reading.fault(property, "belongs into the file that dynamicConfigFile names");
  }
  for (const property of dynamic.values()) {
    if (property.key === "version") reading.fault(property, "the version is the ending of the file's name, not a line in it");
    else if (!isEnsembleKey(property.key)) reading.fault(property, "only server, group and weight lines may stand here");
  }
}

function readMyId(reading: Reading, files: MemberFiles, mode: MemberConfig["mode"]): number | undefined {
  const place = `${reading.values.dataDir}/myid`;
  const text = files.myId?.split(/\r\n|\r|\n/, 1)[0]?.trim();
  if (text === undefined) {
    reading.expect(mode === "standalone", ["dataDir"], `${place} is missing: it holds this member's number, the N of its server.N line`);
    return undefined;
  }
  const sound = /^[0-9]{1,15}$/.test(text);
  reading.expect(sound, ["dataDir"], `${place} holds ${JSON.stringify(text)}, expected this member's number, the N of its server.N line`);
  const myId = sound ? Number(text) : undefined;
  const extended = reading.values.extendedTypesEnabled;
  reading.expect(!extended || myId === undefined || myId <= 254, ["extendedTypesEnabled"], `needs a member's number of at most 254, and ${place} holds ${myId}`);
  return myId;
}

function checkEnsemble(reading: Reading, ensemble: Ensemble, mode: MemberConfig["mode"]): void {
  const { values } = reading;
  const voting = voters(ensemble).length;
  const observers = ensemble.members.length - voting;
  reading.expect(voting > 0 || values.standaloneEnabled, ["standaloneEnabled"], "at least one server line of a participant is needed");
  const lone = mode === "standalone" && observers > 0;
  reading.expect(!lone, [], `observers need an ensemble to follow, but ${voting === 0 ? "there is no participant" : "one participant alone is standalone"}`);
  if (mode === "standalone") {
    if (voting === 1) reading.warn(undefined, "a single server line: this member stands alone, as without it (standaloneEnabled)");
    return;
  }
  reading.expect(values.initLimit > 0, ["initLimit"], "an ensemble needs it, such as 10");
  reading.expect(values.syncLimit > 0, ["syncLimit"], "an ensemble needs it, such as 5");
  if (voting <= 2) reading.warn(undefined, `${voting} voting ${voting === 1 ? "member tolerates" : "members tolerate"} no failure: 3 are needed for that`);
  else if (voting % 2 === 0) reading.warn(undefined, `${voting} voting members tolerate no more failures than ${voting - 1}`);
}

const everywhere = new Set(["0.0.0.0", "::"]);

function readClientAddress(reading: Reading, self: Member | undefined): Address | undefined {
  const { clientPort, clientPortAddress } = reading.values;
  reading.expect(clientPort > 0 || clientPortAddress === undefined, ["clientPortAddress"], "needs clientPort beside it");
  const own = clientPort === 0 ? undefined : { host: clientPortAddress ?? "0.0.0.0", port: clientPort };
  const named = self?.clientAddress;
  if (own === undefined || named === undefined) return named ?? own;
  const same = own.port === named.port && (everywhere.has(own.host) || own.host === named.host);
  reading.expect(same, ["clientPort", "clientPortAddress"], `differs from this member's server line, which names ${named.host}:${named.port} for clients`);
  return named;
}
