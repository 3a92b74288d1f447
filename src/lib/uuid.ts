/** A random (version 4) UUID as 22 characters of URL-safe base64, the form in which Kafka writes ids. Never starts with a dash. */
export function randomUuid(random: { bytes(length: number): Buffer }): string {
  for (;;) {
    const bytes = random.bytes(16);
    bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
    bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
    const text = bytes.toString("base64url");
    if (!text.startsWith("-")) return text;
  }
}
