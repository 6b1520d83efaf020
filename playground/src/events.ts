// Server-sent events from pieces of a stream, each with a line of JSON. Pure.

/** Reads events; `push` takes the next piece of the stream, cut anywhere, and returns the whole events. */
export class EventReader {
  private rest = "";

  push(piece: string): unknown[] {
    this.rest += piece;
    const blocks = this.rest.split(/\r?\n\r?\n/);
    this.rest = blocks.pop() ?? "";
    return blocks
      .map(dataOf)
      .filter((data) => data !== "" && data !== "[DONE]")
      .map((data) => JSON.parse(data));
  }
}

function dataOf(block: string): string {
  const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n");
}
