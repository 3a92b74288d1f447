/** A random (version 4) UUID as 22 characters of URL-safe base64, the form in which Kafka writes ids. Never starts with a dash. */
export function randomUuid(random: { bytes(length: number): Buffer }): string {
  for (;;) {
    const text = randomUuidBytes(random).toString("base64url");
    if (!text.startsWith("-")) return text;
  }
}

/** A random (version 4) UUID as 8-4-4-4-12 hexadecimal digits (RFC 9562), the form that Java's `UUID.toString` gives. */
export function randomUuidText(random: { bytes(length: number): Buffer }): string {
  const hex = randomUuidBytes(random).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function randomUuidBytes(random: { bytes(length: number): Buffer }): Buffer {
  const bytes = random.bytes(16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes;
}
