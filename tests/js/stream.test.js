import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { Stream } from "../../static/js/stream.js";

// A server that the test speaks for, and a clock that it moves.

let sources;
const real = globalThis.EventSource;

class Source {
  static OPEN = 1;
  static CLOSED = 2;
  readyState = 0;
  #heard = new Map();

  constructor(url) {
    this.cursor = new URL(url, "http://x").searchParams.get("last_event_id");
    sources.push(this);
  }

  addEventListener(type, listener) {
    this.#heard.set(type, listener);
  }

  tell(type, lastEventId = "", data = {}) {
    this.readyState = 1;
    this.#heard.get(type)?.({ lastEventId, data: JSON.stringify(data) });
  }

  /** `state`: 0 where the browser tries again by itself. */
  fail(state) {
    this.readyState = state;
    this.#heard.get("error")({});
  }

  close() {
    this.readyState = 2;
  }
}

beforeEach(() => {
  sources = [];
  globalThis.EventSource = Source;
});

afterEach(() => {
  globalThis.EventSource = real;
});

function stream(t) {
  t.mock.timers.enable({ apis: ["setInterval", "setTimeout", "Date"], now: 1_000_000 });
  const states = [];
  const made = new Stream("/events", {
    onevent: () => {}, onstate: (connected) => states.push(connected), onrefused: async () => {},
  });
  made.open("c1");
  t.after(() => made.close());
  const wait = (s) => {
    for (let each = 0; each < s; each += 1) t.mock.timers.tick(1_000);
  };
  return { stream: made, states, wait };
}

test("a stream that is silent for more than two heartbeats is made anew where it was", (t) => {
  const { states, wait } = stream(t);
  sources[0].tell("ready");
  sources[0].tell("message", "c2");
  wait(40);
  sources[0].tell("heartbeat");
  wait(40);
  assert.deepEqual([sources.length, states.at(-1)], [1, true]);
  wait(10);
  assert.deepEqual([sources.length, states.at(-1)], [2, false]);
  assert.equal(sources[1].cursor, "c2");
  assert.equal(sources[0].readyState, Source.CLOSED);
});

test("one that does not begin is given up sooner: the browser's connection may be dead", (t) => {
  const { wait } = stream(t);
  wait(14);
  assert.equal(sources.length, 1);
  wait(7);
  assert.equal(sources.length, 2);
  sources[1].tell("ready");
  wait(40);
  assert.equal(sources.length, 2);
});

test("so is the browser's own next try", (t) => {
  const { states, wait } = stream(t);
  sources[0].tell("ready");
  sources[0].fail(0);
  assert.equal(states.at(-1), false);
  wait(14);
  assert.equal(sources.length, 1);
  wait(7);
  assert.equal(sources.length, 2);
});

test("a machine that slept looks at its stream as soon as it wakes", (t) => {
  const { stream: mine } = stream(t);
  sources[0].tell("ready");
  mine.revive();
  assert.equal(sources.length, 1);
  t.mock.timers.setTime(1_000_000 + 3_600_000);
  mine.revive();
  assert.equal(sources.length, 2);
});
