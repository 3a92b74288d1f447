/**
 * Lines of UTF-8 as Java's BufferedReader splits them: ended by \n, \r or \r\n and by nothing else, the last one by the
 * end too; what is no UTF-8 becomes U+FFFD. A line that a lone \r ends is given at once.
 */
export async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let parts: string[] = [];
  let afterReturn = false;
  for await (const chunk of chunks) {
    const text = decoder.decode(chunk, { stream: true });
    let from = 0;
    if (text.length > 0) {
      if (afterReturn && text.startsWith("\n")) from = 1;
      afterReturn = false;
    }
    const ends = /\r\n?|\n/g;
    ends.lastIndex = from;
    for (let end = ends.exec(text); end !== null; end = ends.exec(text)) {
      parts.push(text.slice(from, end.index));
      from = ends.lastIndex;
      afterReturn = end[0] === "\r" && from === text.length;
      yield parts.join("");
      parts = [];
    }
    if (from < text.length) parts.push(text.slice(from));
  }
  const last = [...parts, decoder.decode()].join("");
  if (last !== "") yield last;
}
