import { apacheKafkaClassPath } from "../../test/support/apache-kafka.ts";
import { versions, type Topology } from "../settings.ts";
import type { Contestant, ContestantName } from "./contestant.ts";
import { planApache, planKraft, planOdradek } from "./deployment.ts";

/** A cluster that has never run. Throws where this machine can't have it. */
export async function plan(name: ContestantName, topology: Topology): Promise<Contestant> {
  if (name === "odradek") return planOdradek(topology);
  const version = versions[name];
  const classPath = await apacheKafkaClassPath(version);
  if (classPath === undefined) throw new Error(`Apache Kafka ${version} can't be had: apt-get install -y default-jre-headless maven, and a way to Maven Central`);
  return name === "apache" ? planApache(topology, classPath) : planKraft(topology, classPath);
}
