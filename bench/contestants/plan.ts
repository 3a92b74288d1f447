import { apacheKafkaClassPath } from "../../test/support/apache-kafka.ts";
import { versions, type Topology } from "../settings.ts";
import type { Contestant, ContestantName } from "./contestant.ts";
import { planApache, planOdradek } from "./deployment.ts";

/** A cluster that has never run. Throws where this machine can't have it. */
export async function plan(name: ContestantName, topology: Topology): Promise<Contestant> {
  if (name === "odradek") return planOdradek(topology);
  const classPath = await apacheKafkaClassPath(versions.apache);
  if (classPath === undefined) throw new Error(`Apache Kafka ${versions.apache} can't be had: apt-get install -y default-jre-headless maven, and a way to Maven Central`);
  return planApache(topology, classPath);
}
