import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { covers, type Field, type Fields, type Type, type VersionRange } from "../../src/codec/model.ts";
import type { Api } from "../../src/kafka/protocol/api.ts";
import { apis } from "../../src/kafka/protocol/apis.ts";

/**
 * What is declared in src/kafka/protocol against the message definitions of Kafka 3.8.0 (2.7.1 for what only brokers
 * say to each other): names, order, types, versions, nullability, tags and defaults of every field.
 */

const DIRECTORY = process.env["KAFKA_PROTOCOL_DIR"] ?? resolve(import.meta.dirname, "../../../shared/protocol");

interface SpecField {
  readonly name: string;
  readonly type: string;
  readonly versions: string;
  readonly nullableVersions?: string;
  readonly taggedVersions?: string;
  readonly tag?: number;
  readonly default?: string | number;
  readonly fields?: readonly SpecField[];
}

interface SpecMessage {
  readonly apiKey: number;
  readonly type: "request" | "response" | "header";
  readonly validVersions: string;
  readonly flexibleVersions?: string;
  readonly fields: readonly SpecField[];
  readonly commonStructs?: readonly { readonly name: string; readonly fields: readonly SpecField[] }[];
}

/** LeaderAndIsr, StopReplica, UpdateMetadata, ControlledShutdown, AlterIsr. */
const BETWEEN_BROKERS = new Set([4, 5, 6, 7, 56]);

const found = existsSync(resolve(DIRECTORY, "kafka-3.8.0.json"));
if (!found) console.warn(`SKIPPED the comparison with Kafka's message definitions: no kafka-3.8.0.json in ${DIRECTORY} (set KAFKA_PROTOCOL_DIR)`);

function load(version: string): SpecMessage[] {
  return found ? (JSON.parse(readFileSync(resolve(DIRECTORY, `kafka-${version}.json`), "utf8")) as SpecMessage[]) : [];
}

const client = load("3.8.0");
const broker = load("2.7.1");

/** One line a field, indented by depth: what a reader of a failing comparison wants to see. */
function declaredLines(fields: Fields, indent = ""): string[] {
  return Object.entries(fields).flatMap(([name, field]) => {
    const inner = structOf(field.type);
    return [line(indent, name, typeName(field.type), field), ...(inner === undefined ? [] : declaredLines(inner, `${indent}  `))];
  });
}

function line(indent: string, name: string, type: string, field: Pick<Field, "versions" | "nullable" | "tagged" | "tag">): string {
  const tag = field.tag < 0 ? "" : ` tag ${field.tag} in ${range(field.tagged)}`;
  return `${indent}${name}: ${type} ${range(field.versions)} null ${range(field.nullable)}${tag}`;
}

function structOf(type: Type): Fields | undefined {
  if (type.kind === "array") return structOf(type.element);
  return type.kind === "struct" ? type.fields : undefined;
}

function typeName(type: Type): string {
  if (type.kind === "array") return `[]${typeName(type.element)}`;
  if (type.kind === "struct") return type.name;
  return type.kind === "timestamp" || type.kind === "int64Exact" ? "int64" : type.kind;
}

function range(versions: VersionRange): string {
  return versions.first > versions.last ? "none" : `${versions.first}-${versions.last === 0x7fff ? "" : versions.last}`;
}

function specRange(text: string | undefined): VersionRange {
  const match = /^(\d+)(?:(\+)|-(\d+))?$/.exec(text ?? "none");
  if (match === null) return { first: 1, last: 0 };
  const first = Number(match[1]);
  return { first, last: match[2] === "+" ? 0x7fff : Number(match[3] ?? first) };
}

function specLines(message: SpecMessage, fields: readonly SpecField[], indent = ""): string[] {
  return fields.flatMap((field) => {
    const inner = field.fields ?? message.commonStructs?.find((struct) => struct.name === field.type.replace("[]", ""))?.fields;
    const name = field.name.charAt(0).toLowerCase() + field.name.slice(1);
    const head = line(indent, name, field.type, {
      versions: specRange(field.versions),
      nullable: specRange(field.nullableVersions),
      tagged: specRange(field.taggedVersions),
      tag: field.tag ?? -1,
    });
    return [head, ...(inner === undefined ? [] : specLines(message, inner, `${indent}  `))];
  });
}

function specDefaults(message: SpecMessage, fields: readonly SpecField[], declared: Fields, path: string): string[] {
  return fields.flatMap((field) => {
    const name = field.name.charAt(0).toLowerCase() + field.name.slice(1);
    const mine = declared[name];
    if (mine === undefined) return [`${path}${name} is not declared`];
    const inner = field.fields ?? message.commonStructs?.find((struct) => struct.name === field.type.replace("[]", ""))?.fields;
    const innerDeclared = structOf(mine.type);
    const below = inner === undefined || innerDeclared === undefined ? [] : specDefaults(message, inner, innerDeclared, `${path}${name}.`);
    if (field.default === undefined) return below;
    const shown = Array.isArray(mine.default) ? "" : typeof mine.default === "string" ? mine.default : JSON.stringify(mine.default);
    const wanted = String(field.default).startsWith("0x") ? String(Number(field.default)) : String(field.default);
    return shown === wanted ? below : [`${path}${name} has default ${shown}, not ${wanted}`, ...below];
  });
}

describe.runIf(found).each(Object.values(apis) as Api[])("$name", (api) => {
  const spec = BETWEEN_BROKERS.has(api.key) ? broker : client;
  test.each(["request", "response"] as const)("its %s is declared as Kafka defines it", (type) => {
    const wanted = spec.find((message) => message.apiKey === api.key && message.type === type);
    if (wanted === undefined) throw new Error(`no ${type} with key ${api.key}`);
    const schema = api[type];
    expect(range(schema.versions)).toBe(range(specRange(wanted.validVersions)));
    for (let version = schema.versions.first; version <= schema.versions.last; version++) {
      expect(schema.isFlexible(version), `flexible in version ${version}`).toBe(covers(specRange(wanted.flexibleVersions), version));
    }
    expect(declaredLines(schema.fields)).toEqual(specLines(wanted, wanted.fields));
    expect(specDefaults(wanted, wanted.fields, schema.fields, "")).toEqual([]);
  });
});
