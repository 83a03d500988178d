// What the log shows, in order: a list of plain rows with stable keys. No DOM.

import { dayKey } from "./times.js";

const GROUP_MS = 5 * 60_000; // one author's messages this close share a byline

/**
 * `pending` are the reader's unconfirmed messages; `mark` is the id up to which the reader
 * had read when the room came into view, or null; `quote(id)` is the message that a reply
 * answers, or what is known instead.
 */
export function rows({ timeline, pending, mark, me, quote = () => null }) {
  const list = [{ kind: head(timeline), key: "head" }];
  let last = null;
  let marked = mark === null || !reaches(timeline, mark);
  for (const message of [...timeline.messages, ...unsent(timeline, pending, me)]) {
    if (last === null || dayKey(last.created_at) !== dayKey(message.created_at)) {
      list.push({ kind: "day", key: dayKey(message.created_at), at: message.created_at });
      last = null;
    }
    if (!marked && message.id > mark) {
      list.push({ kind: "new", key: "new" });
      marked = true;
      last = null;
    }
    const answers = message.reply_to && !message.deleted_at;
    list.push({
      kind: "message", key: key(message), message, grouped: follows(last, message) && !answers,
      quote: answers ? quote(message.reply_to) : undefined,
    });
    last = message;
  }
  const tail = foot(timeline);
  return tail ? [...list, { kind: tail, key: "foot" }] : list;
}

function head({ state, messages, hasOlder, older }) {
  if (messages.length === 0 && state !== "ready") return state === "failed" ? "failed" : "loading";
  if (!hasOlder) return "start";
  return older === "failed" ? "older-failed" : "older";
}

function foot({ hasNewer, newer }) {
  if (!hasNewer) return null;
  return newer === "failed" ? "newer-failed" : "newer";
}

/** Whether the first message after the mark is among those loaded. */
function reaches({ messages, hasOlder }, mark) {
  return !hasOlder || messages[0]?.id <= mark;
}

/** Unconfirmed messages in the shape of a Message; `id` null sorts and compares as no id. */
function unsent({ messages, hasNewer }, pending, me) {
  if (hasNewer) return [];
  const sent = new Set(messages.map((message) => message.client_id));
  return pending.filter((entry) => !sent.has(entry.client_id)).map((entry) => (
    { ...entry, id: null, author: me, reactions: [], mentions: [] }
  ));
}

/** The same before and after the server gave it an id, so that its element stays. */
function key({ author, client_id: clientId, id }) {
  return clientId ? `${author.id}/${clientId}` : `${id}`;
}

function follows(last, message) {
  return last !== null && last.author.id === message.author.id && !last.deleted_at &&
    new Date(message.created_at) - new Date(last.created_at) < GROUP_MS;
}
