import { className, double, int, list, long, oneOf, password, short, string } from "../../../lib/config/key.ts";

const noTls = "listeners with TLS are still to come";
const noSasl = "listeners with SASL are still to come";
const noKerberos = "Kerberos needs a JVM";
const onlyJvm = "only a JVM can load it";
const noTokens = "delegation tokens are still to come";
const noEncoder = "passwords in ZooKeeper are still to come";

/** TLS, SASL, delegation tokens and stored passwords. Defaults that a JVM computes are those of Java 11 and later. */
export const securityKeys = {
  "connections.max.reauth.ms": long(0, { doc: "How long a login lasts before the client must renew it; 0 means for ever", noEffect: noSasl }),
  "security.providers": string(null, { importance: "low", doc: "Java classes that bring security algorithms", noEffect: onlyJvm }),

  "principal.builder.class": className(null, { update: "per-broker", doc: "The Java class that names a connection's user", noEffect: onlyJvm }),
  "ssl.protocol": string("TLSv1.3", { update: "per-broker", doc: "The TLS version", noEffect: noTls }),
  "ssl.provider": string(null, { update: "per-broker", doc: "The Java provider of TLS", noEffect: onlyJvm }),
  "ssl.enabled.protocols": list(["TLSv1.2", "TLSv1.3"], { update: "per-broker", doc: "The TLS versions that are allowed", noEffect: noTls }),
  "ssl.keystore.type": string("JKS", { update: "per-broker", doc: "The format of the key store", noEffect: noTls }),
  "ssl.keystore.location": string(null, { update: "per-broker", doc: "The file with the broker's key and certificate", noEffect: noTls }),
  "ssl.keystore.password": password({ update: "per-broker", doc: "The password of that file", noEffect: noTls }),
  "ssl.key.password": password({ update: "per-broker", doc: "The password of the key in it", noEffect: noTls }),
  "ssl.keystore.key": password({ update: "per-broker", doc: "The broker's key itself, as PEM", noEffect: noTls }),
  "ssl.keystore.certificate.chain": password({ update: "per-broker", doc: "The broker's certificates themselves, as PEM", noEffect: noTls }),
  "ssl.truststore.type": string("JKS", { update: "per-broker", doc: "The format of the trust store", noEffect: noTls }),
  "ssl.truststore.location": string(null, { update: "per-broker", doc: "The file with the certificates that are trusted", noEffect: noTls }),
  "ssl.truststore.password": password({ update: "per-broker", doc: "The password of that file", noEffect: noTls }),
  "ssl.truststore.certificates": password({ update: "per-broker", doc: "The trusted certificates themselves, as PEM", noEffect: noTls }),
  "ssl.keymanager.algorithm": string("SunX509", { update: "per-broker", doc: "The Java algorithm that chooses a key", noEffect: onlyJvm }),
  "ssl.trustmanager.algorithm": string("PKIX", { update: "per-broker", doc: "The Java algorithm that checks certificates", noEffect: onlyJvm }),
  "ssl.endpoint.identification.algorithm": string("https", {
    importance: "low",
    update: "per-broker",
    doc: "Whether a server's certificate is compared with its host name: https for yes, empty for no",
    noEffect: noTls,
  }),
  "ssl.secure.random.implementation": string(null, { importance: "low", update: "per-broker", doc: "The Java source of randomness for TLS", noEffect: onlyJvm }),
  "ssl.client.auth": oneOf(["required", "requested", "none"], "none", { update: "per-broker", doc: "Whether clients must show a certificate", noEffect: noTls }),
  "ssl.cipher.suites": list([], { update: "per-broker", doc: "The TLS cipher suites that are allowed; empty means all", noEffect: noTls }),
  "ssl.principal.mapping.rules": string("DEFAULT", { importance: "low", doc: "Rules that turn a certificate's name into a user's name", noEffect: noTls }),
  "ssl.engine.factory.class": className(null, { importance: "low", update: "per-broker", doc: "The Java class that makes TLS engines", noEffect: onlyJvm }),

  "sasl.mechanism.inter.broker.protocol": string("GSSAPI", { update: "per-broker", doc: "The SASL mechanism between brokers", noEffect: noSasl }),
  "sasl.jaas.config": password({ update: "per-broker", doc: "The login's settings, in the syntax of JAAS", noEffect: noSasl }),
  "sasl.enabled.mechanisms": list(["GSSAPI"], { update: "per-broker", doc: "The SASL mechanisms that clients may use", noEffect: noSasl }),
  "sasl.server.callback.handler.class": className(null, { doc: "The Java class that checks logins", noEffect: onlyJvm }),
  "sasl.client.callback.handler.class": className(null, { doc: "The Java class that logs in to other brokers", noEffect: onlyJvm }),
  "sasl.login.class": className(null, { doc: "The Java class that keeps a login alive", noEffect: onlyJvm }),
  "sasl.login.callback.handler.class": className(null, { doc: "The Java class that fetches a login's tokens", noEffect: onlyJvm }),
  "sasl.kerberos.service.name": string(null, { update: "per-broker", doc: "Kafka's name in Kerberos", noEffect: noKerberos }),
  "sasl.kerberos.kinit.cmd": string("/usr/bin/kinit", { update: "per-broker", doc: "The path of kinit", noEffect: noKerberos }),
  "sasl.kerberos.ticket.renew.window.factor": double(0.8, { update: "per-broker", doc: "After which share of its life a ticket is renewed", noEffect: noKerberos }),
  "sasl.kerberos.ticket.renew.jitter": double(0.05, { update: "per-broker", doc: "How much, at random, that moment moves", noEffect: noKerberos }),
  "sasl.kerberos.min.time.before.relogin": long(60_000, { update: "per-broker", doc: "How long to wait between two renewals", noEffect: noKerberos }),
  "sasl.kerberos.principal.to.local.rules": list(["DEFAULT"], { update: "per-broker", doc: "Rules that turn a Kerberos name into a user's name", noEffect: noKerberos }),
  "sasl.login.refresh.window.factor": double(0.8, { update: "per-broker", doc: "After which share of its life a token is renewed", noEffect: noSasl }),
  "sasl.login.refresh.window.jitter": double(0.05, { update: "per-broker", doc: "How much, at random, that moment moves", noEffect: noSasl }),
  "sasl.login.refresh.min.period.seconds": short(60, { update: "per-broker", doc: "How long to wait between two renewals of a token", noEffect: noSasl }),
  "sasl.login.refresh.buffer.seconds": short(300, { update: "per-broker", doc: "How long before its end a token is renewed at the latest", noEffect: noSasl }),

  "delegation.token.master.key": password({ doc: "The secret from which delegation tokens are made, the same on every broker", noEffect: noTokens }),
  "delegation.token.max.lifetime.ms": long(604_800_000, { min: 1, doc: "How long a token can be renewed", noEffect: noTokens }),
  "delegation.token.expiry.time.ms": long(86_400_000, { min: 1, doc: "How long a token lasts unless it is renewed", noEffect: noTokens }),
  "delegation.token.expiry.check.interval.ms": long(3_600_000, { importance: "low", min: 1, doc: "How often expired tokens are removed", noEffect: noTokens }),

  "password.encoder.secret": password({ doc: "The secret with which passwords are stored in ZooKeeper", noEffect: noEncoder }),
  "password.encoder.old.secret": password({ doc: "The secret before that, while it is being replaced", noEffect: noEncoder }),
  "password.encoder.keyfactory.algorithm": string(null, { importance: "low", doc: "How a key is made from the secret", noEffect: noEncoder }),
  "password.encoder.cipher.algorithm": string("AES/CBC/PKCS5Padding", { importance: "low", doc: "How passwords are encrypted", noEffect: noEncoder }),
  "password.encoder.key.length": int(128, { importance: "low", min: 8, doc: "The length of that key in bits", noEffect: noEncoder }),
  "password.encoder.iterations": int(4096, { importance: "low", min: 1024, doc: "How many rounds make that key", noEffect: noEncoder }),
};
