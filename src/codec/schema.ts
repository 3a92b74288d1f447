import { compile, type Compiled } from "./compile.ts";
import { Reader } from "./reader.ts";
import { covers, parseVersions, type DecodedOf, type Fields, type InputOf, type VersionRange, type Wire } from "./model.ts";
import { Writer } from "./writer.ts";

/**
 * A declared message or record. Codecs are compiled at first use, one a version.
 * `versions` are the declared ones; asking for another is a programming error.
 */
export class Schema<F extends Fields> {
  readonly name: string;
  readonly wire: Wire;
  readonly fields: F;
  readonly versions: VersionRange;
  readonly flexible: VersionRange;
  readonly #compiled: (Compiled | undefined)[] = [];

  constructor(options: { name: string; wire: Wire; fields: F; versions: string; flexible: string }) {
    this.name = options.name;
    this.wire = options.wire;
    this.fields = options.fields;
    this.versions = parseVersions(options.versions);
    this.flexible = parseVersions(options.flexible);
  }

  #codec(version: number): Compiled {
    return (this.#compiled[version] ??= compile(this, version));
  }

  isFlexible(version: number): boolean {
    return covers(this.flexible, version);
  }

  /** Reads one value. Look at `reader.bad` before using it. */
  read(reader: Reader, version = 0): DecodedOf<F> {
    return this.#codec(version).read(reader) as DecodedOf<F>;
  }

  write(writer: Writer, value: InputOf<F>, version = 0): void {
    this.#codec(version).write(writer, value);
  }

  /** The value in `bytes`, or undefined where they do not hold one; bytes left over are ignored. */
  decode(bytes: Buffer, version = 0): DecodedOf<F> | undefined {
    const reader = new Reader(bytes);
    const value = this.read(reader, version);
    return reader.bad ? undefined : value;
  }

  encode(value: InputOf<F>, version = 0): Buffer {
    const writer = new Writer();
    this.write(writer, value, version);
    return writer.finishBuffer();
  }
}

/** What reading a record gives. */
export type Decoded<R> = R extends Schema<infer F> ? DecodedOf<F> : never;
/** What writing a record takes: fields with a default may be left out. */
export type Input<R> = R extends Schema<infer F> ? InputOf<F> : never;
