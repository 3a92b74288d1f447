import { configKey, double, int, list, long, oneOf, password, required, string, type ConfigKey, type KeyFacts } from "../../lib/config/key.ts";

const noAdmin = "the HTTP server for administration is still to come";
const noTls = "TLS is still to come";
const noSasl = "SASL is still to come";
const onlyJvm = "only a JVM has it";
export const PROMETHEUS_PROVIDER = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";
const BUILT_IN_PROVIDERS = ["org.apache.zookeeper.metrics.impl.DefaultMetricsProvider", "org.apache.zookeeper.metrics.impl.NullMetricsProvider"] as const;
const oneLoop = "one event loop does this work";
const noDelay = "sockets send at once in any case";

/** As Java's Boolean.parseBoolean or `equals("yes")`: anything but `yes` means no. It is said aloud. */
function lenient(fallback: boolean, facts: KeyFacts, yes: "true" | "yes" = "true"): ConfigKey<boolean> {
  const no = yes === "true" ? "false" : "no";
  return configKey<boolean, boolean>(
    "boolean",
    fallback,
    `${yes} or ${no}`,
    (text) => {
      const value = yes === "yes" ? text === "yes" : text.toLowerCase() === "true";
      const known = value || text.toLowerCase() === no;
      return { value, text: value ? yes : no, ...(known ? {} : { warning: `means ${no}, as everything but ${yes} does` }) };
    },
    (value) => (value ? yes : no),
    facts,
  );
}

/** `true` or `false` in any case; anything else is an error in Apache's too. */
function strict(fallback: boolean, facts: KeyFacts): ConfigKey<boolean> {
  const spec = oneOf(["true", "false"], fallback ? "true" : "false", { ...facts, ignoreCase: true });
  const parse = (text: string): { value: boolean; text: string } | undefined => {
    const setting = spec.parse(text);
    return setting === undefined ? undefined : { value: setting.value === "true", text: setting.text };
  };
  return configKey<boolean, boolean>("boolean", fallback, "true or false", parse, String, facts);
}

/**
 * Keys that the file's own reader knows. Source: server/quorum/QuorumPeerConfig.java at release-3.5.9. `server.N`,
 * `group.N` and `weight.N` stand beside them (ensemble.ts).
 */
const fileKeys = {
  "dataDir": string(required, {
    importance: "high",
    doc: "The directory for snapshots, in which the file myid holds this member's number",
    check: { allowed: "a path", test: (path) => path !== "" },
  }),
  "dataLogDir": string(null, { importance: "high", doc: "The directory for transaction logs, best on a disk of its own; dataDir where unset" }),
  "clientPort": int(0, { importance: "high", min: 0, max: 65_535, doc: "The port for clients; 0 means none, unless this member's server line names one" }),
  "clientPortAddress": string(null, { doc: "The address for clients; all addresses where unset" }),
  "secureClientPort": int(0, { min: 0, max: 65_535, doc: "The port for clients with TLS", refused: noTls }),
  "secureClientPortAddress": string(null, { doc: "The address for clients with TLS", noEffect: noTls }),
  "tickTime": int(3000, { importance: "high", min: 1, doc: "The length of a tick in ms, in which the limits below are counted" }),
  "maxClientCnxns": int(60, { importance: "high", doc: "How many connections one address may have; 0 means no limit" }),
  "minSessionTimeout": int(-1, { doc: "The shortest session timeout in ms that a client gets; -1 means two ticks" }),
  "maxSessionTimeout": int(-1, { doc: "The longest session timeout in ms that a client gets; -1 means twenty ticks" }),
  "initLimit": int(0, { importance: "high", min: 0, doc: "In how many ticks a follower must have joined its leader; needed in an ensemble" }),
  "syncLimit": int(0, { importance: "high", min: 0, doc: "How many ticks a follower may be silent; needed in an ensemble" }),
  "localSessionsEnabled": lenient(false, { doc: "Whether a session lives in its own member only until it creates something ephemeral", noEffect: "every session is known to the whole ensemble" }),
  "localSessionsUpgradingEnabled": lenient(false, { doc: "Whether such a session may become a session of the whole ensemble", noEffect: "every session is known to the whole ensemble" }),
  "electionAlg": int(3, { importance: "low", min: 0, max: 3, doc: "The election's algorithm: 3 is fast leader election over TCP", refused: "the older algorithms are gone from ZooKeeper too" }),
  "quorumListenOnAllIPs": lenient(false, { doc: "Whether the ports for other members are opened on all addresses instead of the one in this member's server line" }),
  "peerType": oneOf(["participant", "observer"], "participant", { ignoreCase: true, importance: "low", doc: "This member's role; the one in its server line wins" }),
  "syncEnabled": lenient(true, { importance: "low", doc: "Whether an observer writes transactions and snapshots to its disk; observer.syncEnabled wins", noEffect: "an observer always does" }),
  "dynamicConfigFile": string(null, { doc: "A file of its own for the server, group and weight lines" }),
  "autopurge.snapRetainCount": int(3, { doc: "How many snapshots a purge leaves; below 3 means 3" }),
  "autopurge.purgeInterval": int(0, { doc: "How many hours lie between two purges of old snapshots and logs; 0 means that none takes place" }),
  "standaloneEnabled": strict(true, { doc: "Whether a single server line makes a member of its own instead of an ensemble of one" }),
  "reconfigEnabled": strict(false, { doc: "Whether the ensemble can be changed while it runs", noEffect: "the ensemble is the one in the file" }),
  "sslQuorum": lenient(false, { doc: "Whether members talk to each other with TLS", refused: noTls }),
  "portUnification": lenient(false, { doc: "Whether members accept each other with TLS and without", noEffect: noTls }),
  "sslQuorumReloadCertFiles": lenient(false, { importance: "low", doc: "Whether changed certificates are read anew", noEffect: noTls }),
  "quorum.auth.enableSasl": lenient(false, { doc: "Whether members log in to each other", refused: noSasl }),
  "quorum.auth.serverRequireSasl": lenient(false, { doc: "Whether a member lets in only those who log in", refused: noSasl }),
  "quorum.auth.learnerRequireSasl": lenient(false, { doc: "Whether a member goes only to those where it can log in", refused: noSasl }),
  "quorum.auth.learner.saslLoginContext": string("QuorumLearner", { importance: "low", doc: "The JAAS section of a member that logs in", noEffect: noSasl }),
  "quorum.auth.server.saslLoginContext": string("QuorumServer", { importance: "low", doc: "The JAAS section of a member that lets in", noEffect: noSasl }),
  "quorum.auth.kerberos.servicePrincipal": string("zkquorum/localhost", { importance: "low", doc: "The members' name in Kerberos", noEffect: noSasl }),
  "quorum.cnxn.threads.size": int(20, { importance: "low", doc: "Threads for members that log in", noEffect: noSasl }),
};

/** Keys that Apache's reader passes on as the Java system property `zookeeper.<key>`, where its server finds them. */
const propertyKeys = {
  "globalOutstandingLimit": int(1000, { doc: "How many requests may wait in a member before it stops reading from its clients" }),
  "preAllocSize": long(65_536, { min: 0, doc: "By how many KiB a transaction log grows ahead of its content" }),
  "snapCount": int(100_000, { min: 2, doc: "After how many transactions, at random from half of it on, a new snapshot and log begin" }),
  "forceSync": lenient(true, { doc: "Whether a transaction is on the disk before it is acknowledged" }, "yes"),
  "fsync.warningthresholdms": long(1000, { doc: "How long forcing a log to the disk may take before it is worth a warning" }),
  "snapshot.trust.empty": lenient(false, { doc: "Whether a member may start from logs alone, without any snapshot" }),
  "datadir.autocreate": lenient(true, { doc: "Whether missing data directories are made" }),
  "snapshotSizeFactor": double(0.33, { doc: "How large, against the last snapshot, the transactions for a returning follower may be; a negative number sends none from the log" }),
  "forceSnapshotSync": lenient(false, { importance: "low", doc: "Whether a returning follower always gets a snapshot" }),
  "leaderServes": lenient(true, { doc: "Whether the leader has clients of its own", noEffect: "it always has" }, "yes"),
  "leader.maxConcurrentSnapshots": int(10, { min: 1, doc: "How many snapshots a leader sends at once; further learners wait" }),
  "leader.maxConcurrentSnapshotTimeout": long(5, { doc: "For how many seconds a leader remembers such a sending at most", noEffect: "a sending ends with its connection" }),
  "cnxTimeout": int(5000, { min: 1, doc: "How long, in ms, a connection to another member's election port may take" }),
  "electionPortBindRetry": int(3, { doc: "How often opening the election port is tried; 0 means without end" }),
  "tcpKeepAlive": lenient(false, { importance: "low", doc: "Whether the system probes idle connections on the election port", noEffect: "members notice a silent peer by themselves" }),
  "observer.syncEnabled": lenient(true, { importance: "low", doc: "Wins over syncEnabled", noEffect: "an observer always does" }),
  "skipACL": lenient(false, { doc: "Whether everybody may do everything" }, "yes"),
  "DigestAuthenticationProvider.superDigest": string(null, { doc: "The user who may do everything, as name:digest" }),
  "superUser": string(null, { importance: "low", doc: "The SASL user who may do everything", noEffect: noSasl }),
  "letAnySaslUserDoX": string(null, { importance: "low", doc: "Whether SASL users may name others in ACLs", noEffect: noSasl }),
  "X509AuthenticationProvider.superUser": string(null, { importance: "low", doc: "The certificate that may do everything", noEffect: noTls }),
  "SASLAuthenticationProvider.superPassword": password({ importance: "low", doc: "The password of the user super", noEffect: noSasl }),
  "allowSaslFailedClients": lenient(false, { importance: "low", doc: "Whether clients whose login failed may stay", noEffect: noSasl }),
  "sessionRequireClientSASLAuth": lenient(false, { doc: "Whether clients must log in", refused: noSasl }),
  "sasl.serverconfig": string("Server", { importance: "low", doc: "The JAAS section of the server", noEffect: noSasl }),
  "kerberos.removeHostFromPrincipal": lenient(false, { importance: "low", doc: "Whether a Kerberos user's host is dropped", noEffect: noSasl }),
  "kerberos.removeRealmFromPrincipal": lenient(false, { importance: "low", doc: "Whether a Kerberos user's realm is dropped", noEffect: noSasl }),
  "security.auth_to_local": string("DEFAULT", { importance: "low", doc: "Rules that turn a Kerberos name into a user's name", noEffect: noSasl }),
  "extendedTypesEnabled": lenient(false, { doc: "Whether znodes may live for a limited time (TTL)" }),
  "emulate353TTLNodes": lenient(false, { importance: "low", doc: "Whether TTL znodes are told by the mark that ZooKeeper 3.5.3 used" }),
  "4lw.commands.whitelist": list(["srvr"], { importance: "high", doc: "The four-letter words that are answered, separated by commas, or *" }),
  "admin.enableServer": lenient(true, { doc: "Whether the HTTP server for administration runs, which is still to come" }),
  "admin.serverAddress": string("0.0.0.0", { doc: "Its address", noEffect: noAdmin }),
  "admin.serverPort": int(8080, { min: 0, max: 65_535, doc: "Its port", noEffect: noAdmin }),
  "admin.idleTimeout": int(30_000, { doc: "After how many ms it closes an idle connection", noEffect: noAdmin }),
  "admin.commandURL": string("/commands", { doc: "The path of its commands", noEffect: noAdmin }),
  "serverCnxnFactory": string(null, { importance: "low", doc: "The Java class that accepts clients", noEffect: onlyJvm }),
  "nio.numSelectorThreads": int(null, { importance: "low", doc: "Threads that wait for sockets", noEffect: oneLoop }),
  "nio.numWorkerThreads": int(null, { importance: "low", doc: "Threads that read from and write to sockets", noEffect: oneLoop }),
  "nio.directBufferBytes": int(65_536, { importance: "low", doc: "The buffer with which those threads write", noEffect: oneLoop }),
  "nio.shutdownTimeout": int(5000, { importance: "low", doc: "How long those threads may take to end", noEffect: oneLoop }),
  "nio.sessionlessCnxnTimeout": int(10_000, { min: 1, doc: "After how many ms a connection without a session is closed" }),
  "commitProcessor.numWorkerThreads": int(null, { importance: "low", doc: "Threads that carry out requests", noEffect: oneLoop }),
  "commitProcessor.shutdownTimeout": long(5000, { importance: "low", doc: "How long those threads may take to end", noEffect: oneLoop }),
  "client.portUnification": lenient(false, { doc: "Whether clients with and without TLS share a port", noEffect: noTls }),
  "jute.maxbuffer.extrasize": int(null, { importance: "low", doc: "How much larger than jute.maxbuffer a record from another member or the disk may be; as large again where unset" }),
};

/** Of ZooKeeper 3.6 and later (3.6.3: QuorumPeerConfig.java, PrometheusMetricsProvider.java); 3.5.9 reads over them. */
const metricsKeys = {
  "metricsProvider.className": configKey<string, string>(
    "class",
    BUILT_IN_PROVIDERS[0],
    `${PROMETHEUS_PROVIDER}, or another class`,
    (text) => ({ value: text, text, ...(text === PROMETHEUS_PROVIDER || BUILT_IN_PROVIDERS.some((name) => name === text) ? {} : { warning: `has no effect: ${onlyJvm}` }) }),
    (value) => value,
    { doc: "Who is told of metrics: the named class, Prometheus', opens a port with /metrics and /ready" },
  ),
  "metricsProvider.httpHost": string("0.0.0.0", { doc: "The address of that port" }),
  "metricsProvider.httpPort": int(7000, { min: 1, max: 65_535, doc: "That port" }),
  "metricsProvider.exportJvmInfo": lenient(true, { importance: "low", doc: "Whether the metrics tell of the JVM too", noEffect: onlyJvm }),
};

/**
 * Settings that Apache's server takes from the command line of its JVM only, and ignores in the file. There is no JVM
 * here, so the file is their place.
 */
const commandLineKeys = {
  "jute.maxbuffer": int(0xf_ffff, { importance: "high", min: 1, doc: "The largest request, and so about the largest znode, in bytes; Apache's ZooKeeper wants it as -Djute.maxbuffer and ignores it in the file" }),
  "readonlymode.enabled": lenient(false, { doc: "Whether a member without a quorum lets clients read, which is still to come: it only allows the word isro; Apache's ZooKeeper wants it as -Dreadonlymode.enabled" }),
  "znode.container.checkIntervalMs": int(60_000, { importance: "low", min: 1, doc: "How often empty containers and expired znodes are looked for; Apache's ZooKeeper wants it as -Dznode.container.checkIntervalMs" }),
  "znode.container.maxPerMinute": int(10_000, { importance: "low", min: 1, doc: "How many of them are deleted in a minute; Apache's ZooKeeper wants it as -Dznode.container.maxPerMinute" }),
  "leader.nodelay": lenient(true, { importance: "low", doc: "Whether a leader's sockets send at once", noEffect: noDelay }),
  "follower.nodelay": lenient(true, { importance: "low", doc: "Whether a follower's sockets send at once", noEffect: noDelay }),
};

const tlsKeys = {
  "ssl.protocol": string("TLSv1.2", { importance: "low", doc: "The TLS version for clients", noEffect: noTls }),
  "ssl.enabledProtocols": list(null, { importance: "low", doc: "The TLS versions allowed for clients", noEffect: noTls }),
  "ssl.ciphersuites": list(null, { importance: "low", doc: "The TLS cipher suites allowed for clients", noEffect: noTls }),
  "ssl.keyStore.location": string(null, { doc: "The file with the member's certificate for clients", noEffect: noTls }),
  "ssl.keyStore.password": password({ doc: "The password of that file", noEffect: noTls }),
  "ssl.keyStore.type": string(null, { importance: "low", doc: "The format of that file", noEffect: noTls }),
  "ssl.trustStore.location": string(null, { doc: "The file with the certificates trusted of clients", noEffect: noTls }),
  "ssl.trustStore.password": password({ doc: "The password of that file", noEffect: noTls }),
  "ssl.trustStore.type": string(null, { importance: "low", doc: "The format of that file", noEffect: noTls }),
  "ssl.hostnameVerification": lenient(true, { importance: "low", doc: "Whether a client's certificate must fit its host name", noEffect: noTls }),
  "ssl.crl": lenient(false, { importance: "low", doc: "Whether revoked certificates are looked up in lists", noEffect: noTls }),
  "ssl.ocsp": lenient(false, { importance: "low", doc: "Whether revoked certificates are asked for with OCSP", noEffect: noTls }),
  "ssl.clientAuth": string("need", { importance: "low", doc: "Whether clients must show a certificate", noEffect: noTls }),
  "ssl.handshakeDetectionTimeoutMillis": int(5000, { importance: "low", doc: "How long a port with and without TLS waits for a first byte", noEffect: noTls }),
  "ssl.authProvider": string("x509", { importance: "low", doc: "The scheme of users with certificates", noEffect: noTls }),
  "ssl.quorum.protocol": string("TLSv1.2", { importance: "low", doc: "The TLS version between members", noEffect: noTls }),
  "ssl.quorum.enabledProtocols": list(null, { importance: "low", doc: "The TLS versions allowed between members", noEffect: noTls }),
  "ssl.quorum.ciphersuites": list(null, { importance: "low", doc: "The TLS cipher suites allowed between members", noEffect: noTls }),
  "ssl.quorum.keyStore.location": string(null, { doc: "The file with the member's certificate for other members", noEffect: noTls }),
  "ssl.quorum.keyStore.password": password({ doc: "The password of that file", noEffect: noTls }),
  "ssl.quorum.keyStore.type": string(null, { importance: "low", doc: "The format of that file", noEffect: noTls }),
  "ssl.quorum.trustStore.location": string(null, { doc: "The file with the certificates trusted of other members", noEffect: noTls }),
  "ssl.quorum.trustStore.password": password({ doc: "The password of that file", noEffect: noTls }),
  "ssl.quorum.trustStore.type": string(null, { importance: "low", doc: "The format of that file", noEffect: noTls }),
  "ssl.quorum.hostnameVerification": lenient(true, { importance: "low", doc: "Whether a member's certificate must fit its host name", noEffect: noTls }),
  "ssl.quorum.crl": lenient(false, { importance: "low", doc: "Whether members' revoked certificates are looked up in lists", noEffect: noTls }),
  "ssl.quorum.ocsp": lenient(false, { importance: "low", doc: "Whether members' revoked certificates are asked for with OCSP", noEffect: noTls }),
  "ssl.quorum.clientAuth": string("need", { importance: "low", doc: "Whether members must show a certificate", noEffect: noTls }),
  "ssl.quorum.handshakeDetectionTimeoutMillis": int(5000, { importance: "low", doc: "How long a port with and without TLS waits for a first byte", noEffect: noTls }),
};

/** Every setting of a ZooKeeper 3.5.9 member's file. docs/config.md is made from it. */
export const memberKeys = { ...fileKeys, ...propertyKeys, ...metricsKeys, ...commandLineKeys, ...tlsKeys };

export type MemberKey = keyof typeof memberKeys;
