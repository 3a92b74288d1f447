import { covers, type Field, type VersionRange, type Wire } from "./model.ts";

/** How the length of a string, byte string or list stands on the wire; -1 is null in each of them. */
export type LengthEncoding = "int16" | "int32" | "uvarint+1";

export interface RecordShape {
  readonly wire: Wire;
  readonly flexible: VersionRange;
}

export function lengthEncoding(shape: RecordShape, field: Field, version: number, of: "string" | "other"): LengthEncoding {
  if (shape.wire === "jute") return "int32";
  if (field.compact && covers(shape.flexible, version)) return "uvarint+1";
  return of === "string" ? "int16" : "int32";
}

/** Where a field stands in a version: among the plain fields, in the tagged section, or not at all. */
export function placeOf(shape: RecordShape, field: Field, version: number): "plain" | "tagged" | "absent" {
  if (!covers(field.versions, version)) return "absent";
  return covers(field.tagged, version) && covers(shape.flexible, version) ? "tagged" : "plain";
}
