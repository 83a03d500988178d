// What the log shows, in order: a list of plain rows with stable keys. No DOM.

import { dayKey } from "./times.js";

const GROUP_MS = 5 * 60_000; // one author's messages this close share a byline

/**
 * `pending` are the reader's unconfirmed messages; `mark` is the id up to which the reader
 * had read when the room came into view, or null.
 */
export function rows({ timeline, pending, mark, me }) {
  const sent = new Set(timeline.messages.map((message) => message.client_id));
  const unsent = pending.filter((entry) => !sent.has(entry.client_id));
  const list = [{ kind: head(timeline), key: "head" }];
  let last = null;
  let marked = mark === null;
  for (const message of [...timeline.messages, ...unsent.map((entry) => draft(entry, me))]) {
    if (last === null || dayKey(last.created_at) !== dayKey(message.created_at)) {
      list.push({ kind: "day", key: dayKey(message.created_at), at: message.created_at });
      last = null;
    }
    if (!marked && message.id > mark) {
      list.push({ kind: "new", key: "new" });
      marked = true;
      last = null;
    }
    list.push({ kind: "message", key: key(message), message, grouped: follows(last, message) });
    last = message;
  }
  return list;
}

function head({ state, messages, hasMore, older }) {
  if (messages.length === 0 && state !== "ready") return state === "failed" ? "failed" : "loading";
  if (!hasMore) return "start";
  return older === "failed" ? "older-failed" : "older";
}

/** An unconfirmed entry in the shape of a Message; `id` null sorts and compares as no id. */
function draft(entry, me) {
  return { ...entry, id: null, author: me };
}

/** The same before and after the server gave it an id, so that its element stays. */
function key({ author, client_id: clientId, id }) {
  return clientId ? `${author.id}/${clientId}` : `${id}`;
}

function follows(last, message) {
  return last !== null && last.author.id === message.author.id && !last.deleted_at &&
    new Date(message.created_at) - new Date(last.created_at) < GROUP_MS;
}
