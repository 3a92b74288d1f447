import { realHost } from "../../src/host/real/host.ts";
import { KafkaClient } from "../../src/kafka/client/kafka-client.ts";

/** Our own client, of any cluster: `bootstrap` is `host:port,…`. Close it. */
export function ownClient(bootstrap: string): KafkaClient {
  const endpoints = bootstrap.split(",").map((address) => {
    const colon = address.lastIndexOf(":");
    return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
  });
  return new KafkaClient({ host: realHost({ logLevel: "silent" }), bootstrap: endpoints, clientId: "own", requestTimeoutMs: 5000, random: { below: (bound) => Math.floor(Math.random() * bound) } });
}
