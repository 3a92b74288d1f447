/**
 * Cuts a byte stream into frames, each an int32 length (big-endian) and so many bytes: the framing of both Kafka and
 * ZooKeeper. A frame that lies within one chunk is a view of it; any other is copied once.
 */
export class FrameDecoder {
  readonly #frameBytesMax: number;
  readonly #header = Buffer.alloc(4);
  #headerFilled = 0;
  #frame: Buffer | undefined;
  #frameFilled = 0;
  /** The length that was refused, where `push` has returned false. */
  refusedLength: number | undefined;

  constructor(options: { readonly frameBytesMax: number }) {
    this.#frameBytesMax = options.frameBytesMax;
  }

  /** Hands each complete frame to `onFrame`, in order. False: a length is negative or too large, and the stream can't be read on. */
  push(chunk: Buffer, onFrame: (frame: Buffer) => void): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#frame !== undefined) {
        const take = Math.min(this.#frame.length - this.#frameFilled, chunk.length - at);
        chunk.copy(this.#frame, this.#frameFilled, at, at + take);
        this.#frameFilled += take;
        at += take;
        if (this.#frameFilled < this.#frame.length) return true;
        const frame = this.#frame;
        this.#frame = undefined;
        onFrame(frame);
        continue;
      }
      let length: number;
      if (this.#headerFilled === 0 && chunk.length - at >= 4) {
        length = chunk.readInt32BE(at);
        at += 4;
      } else {
        const take = Math.min(4 - this.#headerFilled, chunk.length - at);
        chunk.copy(this.#header, this.#headerFilled, at, at + take);
        this.#headerFilled += take;
        at += take;
        if (this.#headerFilled < 4) return true;
        this.#headerFilled = 0;
        length = this.#header.readInt32BE(0);
      }
      if (length < 0 || length > this.#frameBytesMax) {
        this.refusedLength = length;
        return false;
      }
      if (length <= chunk.length - at) {
        onFrame(chunk.subarray(at, at + length));
        at += length;
      } else {
        this.#frame = Buffer.allocUnsafeSlow(length);
        this.#frameFilled = 0;
      }
    }
    return true;
  }
}
