// Follows streams as a browser does, and prints a line of JSON for each connection and event.
// node eventsource.mjs DIRECTORY COOKIE URL …   DIRECTORY has the package in it.
import { createRequire } from "node:module";

const [directory, cookie, ...urls] = process.argv.slice(2);
const { EventSource } = createRequire(`${directory}/`)("eventsource");
const KINDS = ["ready", "reset", "message", "member.join", "member.leave"];

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

urls.forEach((url, stream) => {
  const source = new EventSource(url, {
    fetch: (address, init) => fetch(address, { ...init, headers: { ...init.headers, cookie } }),
  });
  source.addEventListener("open", () => print({ stream, kind: "open" }));
  for (const kind of KINDS) {
    source.addEventListener(kind, ({ data, lastEventId }) =>
      print({ stream, kind, data, id: lastEventId }),
    );
  }
});
