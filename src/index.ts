/** `import { startCluster } from "odradek"`: a real Kafka cluster for tests. */
export { startCluster, type LocalCluster, type LocalClusterOptions } from "./cluster/local-cluster.ts";
