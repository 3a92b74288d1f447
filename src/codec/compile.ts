import { assert } from "../lib/assert.ts";
import { lengthEncoding, placeOf, type LengthEncoding, type RecordShape } from "./encoding.ts";
import { Reader } from "./reader.ts";
import { covers, defaultOf, type Field, type Fields, type ScalarKind, type Type } from "./model.ts";
import { isDefault, writeCesu8 } from "./values.ts";
import { Writer } from "./writer.ts";

export interface Compiled {
  read(reader: Reader): unknown;
  write(writer: Writer, value: unknown): void;
}

/**
 * Straight-line functions for one version of a record. The generated source holds no names or values but those of
 * the declaration. Nested structs become functions of their own, so that each stays small enough to inline.
 */
export function compile(record: RecordShape & { readonly fields: Fields; readonly versions: { first: number; last: number }; readonly name: string }, version: number): Compiled {
  assert(covers(record.versions, version), `${record.name} has no version ${version}`);
  const generator = new Generator(record, version);
  const root = generator.struct(record.fields);
  const source = `"use strict";\n${generator.source}return { read: read${root}, write: write${root} };`;
  // oxlint-disable-next-line no-new-func, typescript/no-implied-eval -- the compiler's purpose; the source is made of declarations only
  const build = new Function("Reader", "Writer", "isDefault", "defaultOf", "fields", "writeCesu8", "empty", source);
  return build(Reader, Writer, isDefault, defaultOf, generator.fieldTable, writeCesu8, EMPTY) as Compiled;
}

/** Without bytes nothing of it can be changed: all who lack some share it. */
const EMPTY = Buffer.alloc(0);

/** Names `name` as a property: declared names are identifiers, which `struct` checks. */
const IDENTIFIER = /^[a-z][a-zA-Z0-9]*$/;

class Generator {
  source = "";
  readonly fieldTable: Field[] = [];
  readonly #shape: RecordShape;
  readonly #version: number;
  readonly #flexible: boolean;
  #structs = 0;
  #locals = 0;

  constructor(shape: RecordShape, version: number) {
    this.#shape = shape;
    this.#version = version;
    this.#flexible = covers(shape.flexible, version);
  }

  /** Emits read<n> and write<n> for a struct and returns n. */
  struct(fields: Fields): number {
    const id = this.#structs++;
    const plain: [string, Field][] = [];
    const tagged: [string, Field][] = [];
    let read = "";
    let write = "";
    for (const [name, field] of Object.entries(fields)) {
      assert(IDENTIFIER.test(name), `"${name}" is not a field name`);
      const place = placeOf(this.#shape, field, this.#version);
      if (place === "plain") plain.push([name, field]);
      if (place === "tagged") tagged.push([name, field]);
      if (place === "plain") continue;
      read += `let ${local(name)} = ${this.#defaultExpression(field)};\n`;
    }
    for (const [name, field] of plain) {
      read += `let ${local(name)};\n${this.#readInto(local(name), field, field.type)}`;
      write += `{ let v = o.${name};\n${this.#substituteDefault("v", field)}${this.#write("v", field, field.type)}}\n`;
    }
    if (this.#flexible) {
      read += this.#readTagged(tagged);
      write += this.#writeTagged(tagged);
    }
    const literal = Object.keys(fields).map((name) => `${name}: ${local(name)}`);
    this.source += `function read${id}(r) {\n${read}return { ${literal.join(", ")} };\n}\n`;
    this.source += `function write${id}(w, o) {\n${write}}\n`;
    return id;
  }

  #fieldIndex(field: Field): number {
    const known = this.fieldTable.indexOf(field);
    return known >= 0 ? known : this.fieldTable.push(field) - 1;
  }

  #defaultExpression(field: Field): string {
    if (field.default === undefined && field.type.kind === "bytes") return "empty";
    if (field.default === undefined && field.type.kind === "struct") {
      const inner = Object.entries(field.type.fields).map(([name, one]) => `${name}: ${this.#defaultExpression(one)}`);
      return `{ ${inner.join(", ")} }`;
    }
    const value = defaultOf(field);
    if (typeof value === "bigint") return `${value}n`;
    if (Array.isArray(value)) return "[]";
    if (typeof value === "object" && value !== null) return `defaultOf(fields[${this.#fieldIndex(field)}])`;
    return JSON.stringify(value);
  }

  #substituteDefault(value: string, field: Field): string {
    return field.default === undefined && !isTaggedAnywhere(field) ? "" : `if (${value} === undefined) ${value} = ${this.#defaultExpression(field)};\n`;
  }

  #readInto(target: string, field: Field, type: Type): string {
    const nullable = covers(field.nullable, this.#version);
    switch (type.kind) {
      case "string":
      case "bytes":
      case "records": {
        const length = this.#local("n");
        const encoding = lengthEncoding(this.#shape, field, this.#version, type.kind === "string" ? "string" : "other");
        const value = type.kind === "string" ? `r.string(${length})` : type.kind === "bytes" ? `r.bytes(${length})` : `[r.bytes(${length})]`;
        const isNull = nullable ? `${length} === -1 ? null : ` : "";
        return `const ${length} = ${readLength(encoding)};\n${target} = ${isNull}${value};\n`;
      }
      case "array": {
        const [length, index] = [this.#local("n"), this.#local("i")];
        const encoding = lengthEncoding(this.#shape, field, this.#version, "other");
        // Jute takes any other negative count for an empty list.
        const count = this.#shape.wire === "jute" ? `r.count(${length} < -1 ? 0 : ${length})` : `r.count(${length})`;
        const element = this.#local("e");
        const fill = `${target} = [];\nfor (let ${index} = 0, c = ${count}; ${index} < c && !r.bad; ${index}++) {\nlet ${element};\n${this.#readInto(element, elementField(field), type.element)}${target}.push(${element});\n}\n`;
        const read = `const ${length} = ${readLength(encoding)};\n`;
        return nullable ? `${read}if (${length} === -1) ${target} = null; else {\n${fill}}\n` : `${read}${fill}`;
      }
      case "struct":
        return `${target} = read${this.struct(type.fields)}(r);\n`;
      default:
        return `${target} = r.${scalarMethod(type.kind)}();\n`;
    }
  }

  #write(value: string, field: Field, type: Type): string {
    const nullable = covers(field.nullable, this.#version);
    const orNull = (encoding: LengthEncoding, rest: string) => (nullable ? `if (${value} === null) ${writeLength(encoding, "-1")} else {\n${rest}}\n` : rest);
    switch (type.kind) {
      case "string": {
        const encoding = lengthEncoding(this.#shape, field, this.#version, "string");
        const length = this.#local("n");
        if (this.#shape.wire === "jute") return orNull(encoding, `writeCesu8(w, ${value});\n`);
        return orNull(encoding, `const ${length} = Buffer.byteLength(${value});\n${writeLength(encoding, length)}w.utf8(${value}, ${length});\n`);
      }
      case "bytes":
        return orNull(lengthEncoding(this.#shape, field, this.#version, "other"), `${writeLength(lengthEncoding(this.#shape, field, this.#version, "other"), `${value}.length`)}w.bytes(${value});\n`);
      case "records": {
        const encoding = lengthEncoding(this.#shape, field, this.#version, "other");
        const length = this.#local("n");
        return orNull(encoding, `let ${length} = 0;\nfor (const b of ${value}) ${length} += b.length;\n${writeLength(encoding, length)}for (const b of ${value}) w.bytes(b);\n`);
      }
      case "array": {
        const encoding = lengthEncoding(this.#shape, field, this.#version, "other");
        const element = this.#local("e");
        return orNull(encoding, `${writeLength(encoding, `${value}.length`)}for (let ${element} of ${value}) {\n${this.#write(element, elementField(field), type.element)}}\n`);
      }
      case "struct":
        return `write${this.struct(type.fields)}(w, ${value});\n`;
      default:
        return `w.${scalarMethod(type.kind)}(${value});\n`;
    }
  }

  #readTagged(tagged: readonly (readonly [string, Field])[]): string {
    const cases = tagged.map(([name, field]) => `case ${field.tag}: { const end = r.position + size;\n${this.#readInto(local(name), field, field.type)}if (r.position !== end) r.fail();\nbreak; }\n`);
    return `for (let i = 0, c = r.count(r.uvarint()); i < c && !r.bad; i++) {\nconst tag = r.uvarint(), size = r.uvarint();\nif (size > r.remaining) r.fail();\nswitch (tag) {\n${cases.join("")}default: r.skip(size);\n}\n}\n`;
  }

  #writeTagged(tagged: readonly (readonly [string, Field])[]): string {
    if (tagged.length === 0) return "w.uvarint(0);\n";
    const sorted = tagged.toSorted(([, a], [, b]) => a.tag - b.tag);
    let source = "let tags = 0;\n";
    for (const [name, field] of sorted) {
      const set = `s${field.tag}`;
      source += `const ${set} = o.${name} !== undefined && !isDefault(fields[${this.#fieldIndex(field)}], o.${name});\nif (${set}) tags++;\n`;
    }
    source += "w.uvarint(tags);\n";
    for (const [name, field] of sorted) {
      source += `if (s${field.tag}) { const v = o.${name};\nconst outer = w;\n{ const w = new Writer();\n${this.#write("v", field, field.type)}outer.uvarint(${field.tag});\nouter.uvarint(w.length);\nfor (const b of w.finish()) outer.bytes(b);\n} }\n`;
    }
    return source;
  }

  #local(prefix: string): string {
    return `${prefix}${this.#locals++}`;
  }
}

function local(name: string): string {
  return `_${name}`;
}

function isTaggedAnywhere(field: Field): boolean {
  return field.tagged.first <= field.tagged.last;
}

/** Elements of a list are never null; lengths keep the list's form. */
function elementField(field: Field): Field {
  return { ...field, nullable: { first: 1, last: 0 } };
}

function scalarMethod(kind: Exclude<ScalarKind, "string" | "bytes" | "records">): string {
  return kind;
}

function readLength(encoding: LengthEncoding): string {
  return encoding === "uvarint+1" ? "r.uvarint() - 1" : `r.${encoding}()`;
}

function writeLength(encoding: LengthEncoding, length: string): string {
  if (encoding === "uvarint+1") return `w.uvarint(${length} + 1);\n`;
  return encoding === "int16" ? `w.stringLength(${length});\n` : `w.int32(${length});\n`;
}
