import { boolean, int, long, password, required, list, string } from "../../../lib/config/key.ts";

const notYet = "still to come";
const zookeeperTls = "connections to ZooKeeper with TLS are still to come";
const oneLoop = "one event loop does this work";
const noSocketBuffers = "sockets keep the system's own buffer sizes";

/** `host:port` of each member, ports and IPv6 brackets where wanted, and a path. */
function isConnectString(text: string): boolean {
  const [servers = ""] = text.split("/", 1);
  const members = servers.split(",").map((member) => member.trim()).filter((member) => member !== "");
  return members.length > 0 && members.every((member) => /^(\[[0-9a-zA-Z:.%]+\]|[^\s:[\]]+)(:[0-9]{1,5})?$/.test(member));
}

/** ZooKeeper, the broker's identity, listeners and connections. */
export const serverKeys = {
  "zookeeper.connect": string(required, {
    importance: "high",
    doc: "The ZooKeeper members as host:port, separated by commas, and after the last one the path under which this cluster keeps its data, if not the root",
    check: { allowed: "host:port,host:port,… and a path such as /kafka if wanted", test: isConnectString },
  }),
  "zookeeper.session.timeout.ms": int(18_000, {
    importance: "high",
    doc: "How long ZooKeeper waits for a silent broker before the cluster takes it for dead",
  }),
  "zookeeper.connection.timeout.ms": int(null, {
    importance: "high",
    doc: "How long a broker tries to reach ZooKeeper at its start; as long as the session timeout where unset",
  }),
  "zookeeper.sync.time.ms": int(2000, {
    importance: "low",
    doc: "How far a ZooKeeper follower may be behind its leader",
    noEffect: "nothing in Kafka 2.7.1 reads it",
  }),
  "zookeeper.set.acl": boolean(false, {
    importance: "high",
    doc: "Whether znodes are created so that only brokers may change them",
    refused: "it needs a ZooKeeper login, which is still to come",
  }),
  "zookeeper.max.in.flight.requests": int(10, {
    importance: "high",
    min: 1,
    doc: "How many requests may be on their way to ZooKeeper at once",
  }),
  "zookeeper.ssl.client.enable": boolean(false, {
    doc: "Whether connections to ZooKeeper use TLS",
    refused: zookeeperTls,
  }),
  "zookeeper.clientCnxnSocket": string(null, { doc: "The Java class that connects to ZooKeeper", noEffect: "only a JVM has it" }),
  "zookeeper.ssl.keystore.location": string(null, { doc: "The file with this broker's certificate for ZooKeeper", noEffect: zookeeperTls }),
  "zookeeper.ssl.keystore.password": password({ doc: "The password of that file", noEffect: zookeeperTls }),
  "zookeeper.ssl.keystore.type": string(null, { doc: "The format of that file", noEffect: zookeeperTls }),
  "zookeeper.ssl.truststore.location": string(null, { doc: "The file with the certificates trusted at ZooKeeper", noEffect: zookeeperTls }),
  "zookeeper.ssl.truststore.password": password({ doc: "The password of that file", noEffect: zookeeperTls }),
  "zookeeper.ssl.truststore.type": string(null, { doc: "The format of that file", noEffect: zookeeperTls }),
  "zookeeper.ssl.protocol": string("TLSv1.2", { importance: "low", doc: "The TLS version to ZooKeeper", noEffect: zookeeperTls }),
  "zookeeper.ssl.enabled.protocols": list(null, { importance: "low", doc: "The TLS versions allowed to ZooKeeper", noEffect: zookeeperTls }),
  "zookeeper.ssl.cipher.suites": list(null, { importance: "low", doc: "The TLS cipher suites allowed to ZooKeeper", noEffect: zookeeperTls }),
  "zookeeper.ssl.endpoint.identification.algorithm": string("HTTPS", {
    importance: "low",
    doc: "Whether ZooKeeper's certificate is compared with its host name: HTTPS for yes, empty for no",
    noEffect: zookeeperTls,
  }),
  "zookeeper.ssl.crl.enable": boolean(false, { importance: "low", doc: "Whether revoked ZooKeeper certificates are looked up in lists", noEffect: zookeeperTls }),
  "zookeeper.ssl.ocsp.enable": boolean(false, { importance: "low", doc: "Whether revoked ZooKeeper certificates are asked for with OCSP", noEffect: zookeeperTls }),

  "broker.id.generation.enable": boolean(true, { doc: "Whether a broker without a broker.id draws one from ZooKeeper" }),
  "reserved.broker.max.id": int(1000, { min: 0, doc: "The largest broker.id that may be given by hand; drawn ones lie above" }),
  "broker.id": int(-1, { importance: "high", doc: "This broker's number in the cluster; -1 draws one" }),
  "message.max.bytes": int(1_048_588, {
    importance: "high",
    update: "cluster-wide",
    min: 0,
    doc: "The largest record batch, in bytes, that a topic takes unless its own max.message.bytes says otherwise",
  }),
  "num.network.threads": int(3, { importance: "high", update: "cluster-wide", min: 1, doc: "Threads that read from and write to sockets", noEffect: oneLoop }),
  "num.io.threads": int(8, { importance: "high", update: "cluster-wide", min: 1, doc: "Threads that handle requests", noEffect: oneLoop }),
  "num.replica.alter.log.dirs.threads": int(null, {
    importance: "high",
    doc: "Threads that move replicas between log directories",
    noEffect: "moving replicas between log directories is still to come",
  }),
  "background.threads": int(10, { importance: "high", update: "cluster-wide", min: 1, doc: "Threads for work in the background", noEffect: oneLoop }),
  "queued.max.requests": int(500, { importance: "high", min: 1, doc: "How many requests may wait before the broker stops reading from its connections", noEffect: notYet }),
  "queued.max.request.bytes": long(-1, { doc: "How many bytes of requests may wait before the broker stops reading; -1 means no limit", noEffect: notYet }),
  "request.timeout.ms": int(30_000, { importance: "high", doc: "How long a broker waits for another broker's answer" }),
  "socket.connection.setup.timeout.ms": long(10_000, { doc: "How long a first attempt to connect to another broker may take", noEffect: notYet }),
  "socket.connection.setup.timeout.max.ms": long(127_000, { doc: "How long later attempts may take, as each one waits twice as long as the one before", noEffect: notYet }),
  "authorizer.class.name": string("", {
    importance: "low",
    doc: "The Java class that decides who may do what",
    refused: "authorization is still to come, and without it every client may do everything",
  }),

  "port": int(9092, { importance: "high", doc: "Old form of listeners: the port" }),
  "host.name": string("", { importance: "high", doc: "Old form of listeners: the address; empty means every address" }),
  "listeners": string(null, {
    importance: "high",
    update: "per-broker",
    doc: "Where the broker listens, as NAME://host:port separated by commas; an empty host means the machine's own name, 0.0.0.0 every address",
  }),
  "advertised.host.name": string(null, { importance: "high", doc: "Old form of advertised.listeners: the host" }),
  "advertised.port": int(null, { importance: "high", doc: "Old form of advertised.listeners: the port" }),
  "advertised.listeners": string(null, {
    importance: "high",
    update: "per-broker",
    doc: "What clients and other brokers are told to connect to; listeners where unset",
  }),
  "listener.security.protocol.map": string("PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL", {
    importance: "low",
    update: "per-broker",
    doc: "The security protocol of each listener, as NAME:PROTOCOL separated by commas",
  }),
  "control.plane.listener.name": string(null, { importance: "high", doc: "The listener on which the controller, and nobody else, talks to brokers", noEffect: notYet }),
  "socket.send.buffer.bytes": int(102_400, { importance: "high", doc: "The system's send buffer of a client's socket", noEffect: noSocketBuffers }),
  "socket.receive.buffer.bytes": int(102_400, { importance: "high", doc: "The system's receive buffer of a client's socket", noEffect: noSocketBuffers }),
  "socket.request.max.bytes": int(104_857_600, { importance: "high", min: 1, doc: "The largest request, in bytes; a connection that sends a larger one is closed" }),
  "max.connections.per.ip": int(2_147_483_647, { update: "cluster-wide", min: 0, doc: "How many connections one address may have" }),
  "max.connections.per.ip.overrides": string("", { update: "cluster-wide", doc: "Other limits for certain addresses, as address:number separated by commas" }),
  "max.connections": int(2_147_483_647, { update: "cluster-wide", min: 0, doc: "How many connections the broker accepts in all, or one listener where its name is put before" }),
  "max.connection.creation.rate": int(2_147_483_647, { update: "cluster-wide", min: 0, doc: "How many new connections a second the broker accepts", noEffect: notYet }),
  "connections.max.idle.ms": long(600_000, { doc: "After how long without a request a connection is closed" }),
  "connection.failed.authentication.delay.ms": int(100, {
    importance: "low",
    min: 0,
    doc: "How long the broker waits before it closes a connection whose login failed",
    noEffect: "logins are still to come",
  }),
  "broker.rack": string(null, { doc: "The rack, room or zone of this broker, for spreading replicas" }),
};
