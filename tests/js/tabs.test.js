import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { Tabs } from "../../static/js/tabs.js";
import { settled } from "./people.js";

// One browser: a server with one log, locks and channels that all tabs share.

let log; // {id, data} of every event so far
let sources; // every EventSource that was opened
let channels;
let locks;
let timers;
const real = {};

class Source {
  static OPEN = 1;
  static CLOSED = 2;
  readyState = 1;
  #heard = new Map();
  #begun = false; // what is said before comes with the replay

  constructor(url) {
    this.after = Number(new URL(url, "http://x").searchParams.get("last_event_id"));
    sources.push(this);
    queueMicrotask(() => {
      this.#begun = true;
      this.tell("ready", "", {});
      for (const event of log) if (event.id > this.after) this.tell("message", event.id, event.data);
    });
  }

  addEventListener(type, listener) {
    this.#heard.set(type, listener);
  }

  tell(type, id, data) {
    if (this.#begun && this.readyState === 1) this.#heard.get(type)?.({ lastEventId: String(id), data: JSON.stringify(data) });
  }

  close() {
    this.readyState = 2;
  }
}

class Channel {
  #listener = () => {};

  constructor() {
    channels.add(this);
  }

  addEventListener(_, listener) {
    this.#listener = listener;
  }

  postMessage(data) {
    for (const other of channels) if (other !== this) setImmediate(() => channels.has(other) && other.#listener({ data: structuredClone(data) }));
  }
}

/** As the browser's: one holds it, the others wait; a tab that closes lets go. */
class Locks {
  held = null;
  waiting = [];

  request(_, { steal }, run) {
    return new Promise((resolve, reject) => {
      const asked = { run, resolve, reject, tab: current };
      if (steal) {
        this.held?.reject(new Error("stolen"));
        this.#give(asked);
      } else if (this.held) this.waiting.push(asked);
      else this.#give(asked);
    });
  }

  #give(asked) {
    this.held = asked;
    Promise.resolve(asked.run()).then(asked.resolve, asked.reject);
  }

  letGo(tab) {
    this.waiting = this.waiting.filter((asked) => asked.tab !== tab);
    if (this.held?.tab !== tab) return;
    this.held = null;
    if (this.waiting.length) this.#give(this.waiting.shift());
  }
}

let current = null; // the tab that is being opened

function open(cursor = "0", { started = true } = {}) {
  const tab = { got: [], states: [], resets: 0 };
  current = tab;
  const before = new Set(channels);
  tab.tabs = new Tabs("ann", "/events", {
    onevent: ({ type, id }) => {
      if (type === "message") tab.got.push(Number(id));
      if (type === "reset") tab.resets += 1;
    },
    onstate: (connected) => tab.states.push(connected),
    onrefused: async () => {},
  });
  [tab.channel] = [...channels].filter((each) => !before.has(each));
  if (started) tab.tabs.start(cursor);
  return tab;
}

/** The browser takes away all that the tab has. */
function close(tab) {
  channels.delete(tab.channel);
  if (tab.tabs.leading) for (const source of sources) source.close();
  locks.letGo(tab);
}

const say = (count = 1) => {
  for (let each = 0; each < count; each += 1) {
    log.push({ id: log.length + 1, data: {} });
    for (const source of sources) source.tell("message", log.length, {});
  }
};

const streams = () => sources.filter(({ readyState }) => readyState === 1).length;

beforeEach(() => {
  [log, sources, channels, locks, timers] = [[], [], new Set(), new Locks(), []];
  for (const name of ["EventSource", "BroadcastChannel", "setInterval", "clearInterval"]) real[name] = globalThis[name];
  globalThis.EventSource = Source;
  globalThis.BroadcastChannel = Channel;
  globalThis.setInterval = (run) => timers.push(run) && timers.length;
  globalThis.clearInterval = () => {};
  Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
});

afterEach(() => Object.assign(globalThis, real));

test("of five tabs one has the stream, and all hear everything once and in order", async () => {
  const tabs = Array.from({ length: 5 }, () => open());
  await settled();
  say(3);
  await settled();
  assert.equal(streams(), 1);
  assert.deepEqual(tabs.map(({ tabs: each }) => each.leading), [true, false, false, false, false]);
  for (const { got } of tabs) assert.deepEqual(got, [1, 2, 3]);
});

test("a tab that comes later is told at once whether the stream is well", async () => {
  open();
  await settled();
  const late = open();
  await settled();
  assert.equal(late.states.at(-1), true);
});

test("when the leading tab goes, the next one goes on where the last event ended", async () => {
  const [first, ...others] = Array.from({ length: 5 }, () => open());
  await settled();
  say(10);
  await settled();
  close(first);
  say(10); // by nobody heard
  await settled();
  say(5);
  await settled();
  assert.equal(streams(), 1);
  assert.equal(sources.at(-1).after, 10);
  for (const { got } of others) assert.deepEqual(got, Array.from({ length: 25 }, (_, at) => at + 1));
});

test("a leader that goes before it has passed on what it heard leaves no gap", async () => {
  const [first, second, third] = [open(), open(), open()];
  await settled();
  say(4); // on its way through the channel
  close(first);
  await settled();
  for (const { got } of [second, third]) {
    assert.deepEqual([...new Set(got)], [1, 2, 3, 4]);
  }
});

test("one after the other goes, and the last one still has it all", async () => {
  const tabs = Array.from({ length: 5 }, () => open());
  await settled();
  for (const tab of tabs.slice(0, 4)) {
    say(2);
    await settled();
    close(tab);
    await settled();
  }
  say(2);
  await settled();
  assert.deepEqual(tabs[4].got, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.equal(streams(), 1);
});

test("what a tab hears while it still reads the rooms is kept for when it has", async () => {
  open();
  await settled();
  const late = open("0", { started: false });
  say(2);
  await settled();
  assert.deepEqual(late.got, []);
  late.tabs.start("0");
  await settled();
  assert.deepEqual(late.got, [1, 2]);
});

test("a leader that is frozen loses the lock to one that hears nothing, and gives its stream up", async (t) => {
  const [first, second] = [open(), open()];
  await settled();
  channels.delete(first.channel); // frozen: it says nothing more
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
  t.mock.timers.tick(61_000);
  for (const run of timers) run();
  t.mock.timers.reset();
  await settled();
  assert.equal(second.tabs.leading, true);
  assert.equal(first.tabs.leading, false);
  assert.equal(streams(), 1);
  assert.deepEqual([first.resets, second.resets], [1, 0]); // it reads anew what it may have missed
});

test("without locks each tab has a stream of its own", async () => {
  Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
  const [first, second] = [open(), open()];
  await settled();
  say();
  await settled();
  assert.equal(streams(), 2);
  for (const { got } of [first, second]) assert.deepEqual([...new Set(got)], [1]);
});
