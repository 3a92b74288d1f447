import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "./package-root.ts";
import { run, type Finished } from "./processes.ts";

/** Outside the project's own tree, so that a clean checkout finds what an earlier one fetched. */
const CACHE = process.env["ODRADEK_TEST_CACHE"] ?? join(packageRoot, ".cache");

/** group:artifact:version, as Maven names what it has. */
export type Artifact = `${string}:${string}:${string}`;

/** What the tools print to say why they do nothing goes to stderr; nothing else does. */
const LOGGING: Artifact = "org.slf4j:slf4j-simple:1.7.30";

/** The class path of Apache Kafka's server and the tools of its core. Undefined where this machine can't have it. */
export function apacheKafkaClassPath(version: string): Promise<string | undefined> {
  return mavenClassPath(`kafka-${version}`, [`org.apache.kafka:kafka_2.13:${version}`]);
}

/**
 * The class path of these artifacts and all that they need, fetched from Maven Central at first use and kept under
 * `name`. Undefined, after a loud line, where there is no Java or no Maven.
 */
export async function mavenClassPath(name: string, artifacts: readonly Artifact[]): Promise<string | undefined> {
  const directory = join(CACHE, name);
  const list = join(directory, "class-path.txt");
  if (!existsSync(list)) {
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "pom.xml"), pom(name, [...artifacts, LOGGING]));
    let fetched: Finished;
    try {
      fetched = await run("mvn", ["-q", "-B", "dependency:build-classpath", `-Dmdep.outputFile=${list}`], { cwd: directory, timeoutMs: 300_000 });
    } catch (error) {
      console.warn(`SKIPPED what needs ${artifacts.join(", ")}: mvn can't be run (${String(error)})`);
      return undefined;
    }
    if (fetched.code !== 0) {
      console.warn(`SKIPPED what needs ${artifacts.join(", ")}: ${fetched.stdout}${fetched.stderr}`);
      return undefined;
    }
  }
  return readFileSync(list, "utf8").trim();
}

function pom(name: string, artifacts: readonly Artifact[]): string {
  const dependencies = artifacts.map((artifact) => {
    const [groupId, artifactId, version] = artifact.split(":");
    return `    <dependency><groupId>${groupId}</groupId><artifactId>${artifactId}</artifactId><version>${version}</version></dependency>\n`;
  });
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>odradek.test</groupId><artifactId>${name}</artifactId><version>1</version>
  <dependencies>
${dependencies.join("")}  </dependencies>
</project>
`;
}

/** kafka-dump-log.sh's own class. */
export function dumpLog(classPath: string, ...args: readonly string[]): Promise<Finished> {
  return run("java", ["-Xmx256m", "-cp", classPath, "kafka.tools.DumpLogSegments", ...args]);
}
