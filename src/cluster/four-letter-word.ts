import type { Host } from "../host/host.ts";
import { OperationalError } from "../lib/error.ts";

/** What a ZooKeeper member answers to a four-letter word: all that it sends until it closes the connection. */
export async function fourLetterWord(host: Host, at: { readonly host: string; readonly port: number }, word: string, timeoutMs: number): Promise<string> {
  const connection = await host.net.connect({ ...at, timeoutMs });
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const timer = host.timers.after(timeoutMs, () => connection.destroy());
    connection.start({
      data: (chunk) => void chunks.push(chunk),
      close: (error) => {
        timer.cancel();
        if (error === undefined && chunks.length > 0) resolve(Buffer.concat(chunks).toString("utf8"));
        else reject(error ?? new OperationalError("ERR_NO_ANSWER", `no answer to ${word} from ${at.host}:${at.port}`));
      },
    });
    connection.write(Buffer.from(word, "latin1"));
  });
}
