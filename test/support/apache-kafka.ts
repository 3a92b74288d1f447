import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { run, type Finished } from "./processes.ts";

/** Outside the project's own tree, so that a clean checkout finds what an earlier one fetched. */
const CACHE = process.env["ODRADEK_TEST_CACHE"] ?? resolve(import.meta.dirname, "../../.cache");

/**
 * The class path of Apache Kafka's server and tools, fetched from Maven Central at first use. Undefined, after a loud
 * line, where there is no Java or no Maven.
 */
export async function apacheKafkaClassPath(version: string): Promise<string | undefined> {
  const directory = join(CACHE, `kafka-${version}`);
  const list = join(directory, "class-path.txt");
  if (!existsSync(list)) {
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "pom.xml"), pom(version));
    let fetched: Finished;
    try {
      fetched = await run("mvn", ["-q", "-B", "dependency:build-classpath", `-Dmdep.outputFile=${list}`], { cwd: directory, timeoutMs: 300_000 });
    } catch (error) {
      console.warn(`SKIPPED what needs Apache Kafka ${version}: mvn can't be run (${String(error)})`);
      return undefined;
    }
    if (fetched.code !== 0) {
      console.warn(`SKIPPED what needs Apache Kafka ${version}: ${fetched.stdout}${fetched.stderr}`);
      return undefined;
    }
  }
  return readFileSync(list, "utf8").trim();
}

function pom(version: string): string {
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>odradek.test</groupId><artifactId>kafka-${version}</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.30</version></dependency>
  </dependencies>
</project>
`;
}

/** kafka-dump-log.sh's own class. */
export function dumpLog(classPath: string, ...args: readonly string[]): Promise<Finished> {
  return run("java", ["-Xmx256m", "-cp", classPath, "kafka.tools.DumpLogSegments", ...args]);
}
