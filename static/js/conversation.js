// The inside of the open room: its log, what can be done in it, and the field below.

import { Actions, confirmDelete } from "./actions.js";
import { Completion } from "./completion.js";
import { Composer } from "./composer.js";
import { excerpt } from "./excerpt.js";
import { called } from "./labels.js";
import { Log } from "./log.js";
import { Picker } from "./picker.js";
import { rows } from "./rows.js";
import { sentence } from "./typing.js";
import { Walk } from "./walk.js";

const find = (id) => document.getElementById(id);

export class Conversation {
  #me;
  #session;
  #on;
  #room = null;
  #seen = null; // the mark that the reader has been at
  #composer;
  #completion = new Completion(find("message"), find("completion"), find("completion-said"));
  #picker;
  #toLatest = find("to-latest");
  #toUnread = find("to-unread");
  #actions = new Actions(find("log"), {
    may: (article) => this.#may(this.#log.messageOf(article)),
    act: (article, what, button) => this.#act(article, what, button),
    toggle: (article, emoji) => this.#toggle(this.#log.messageOf(article), emoji),
  });
  #log = new Log(find("log"), {
    moved: () => this.#scrolled(),
    top: () => this.#timeline?.loadOlder(),
    bottom: () => this.#timeline?.loadNewer(),
  });

  /** `on`: {end(), notify(text)}: the reader reached the end; something went wrong. */
  constructor(me, session, on) {
    this.#me = me;
    this.#session = session;
    this.#on = on;
    this.#picker = new Picker(session.storage, `quartchat.emoji.${me.id}`);
    this.#completion.people = () => this.#mentionable();
    this.#composer = new Composer(find("composer"), {
      drafts: session.drafts,
      completion: this.#completion,
      on: {
        send: (body, replyTo) => this.#send(body, replyTo),
        edit: (message, body) => this.#edit(message, body),
        typed: () => session.telling.typed(session.open),
        lastOwn: () => this.#timeline?.messages.findLast((message) => this.#may(message).has("edit")),
        quoted: (id) => session.quotes.get(session.open, id, this.#timeline),
      },
    });
    this.#log.yieldTo(find("message"));
    new Walk(find("log"), {
      leave: () => this.focus() ?? true,
      act: (article, what) => this.#act(article, what),
    });
    find("log").addEventListener("click", (event) => this.#clicked(event));
    this.#toLatest.addEventListener("click", () => this.#latest());
    this.#toUnread.addEventListener("click", () => this.#try(session.showUnread()));
    addEventListener("storage", ({ key }) => key === session.outbox.key && session.outbox.follow());
  }

  focus() {
    this.#composer.focus();
  }

  set offline(offline) {
    this.#composer.offline = offline;
  }

  /** Whether the reader sees the newest message. */
  get atEnd() {
    return this.#log.pinned && this.#timeline?.state === "ready" && !this.#timeline.hasNewer;
  }

  /** Bring a message of the open room into view. */
  showMessage(id) {
    return this.#try(this.#session.showMessage(this.#session.open, id));
  }

  draw(room) {
    const session = this.#session;
    const timeline = this.#timeline;
    this.#room = room;
    if (this.#log.pinned) timeline.trim();
    this.#composer.show(room, called(room));
    this.#log.show(room.id, this.#rows(room, timeline), {
      busy: [timeline.state, timeline.older, timeline.newer].includes("loading"),
      hasNewer: timeline.hasNewer,
      roomName: room.peer ? `your conversation with ${called(room)}` : called(room),
      version: session.people.version,
      context: {
        me: this.#me,
        name: (userId) => session.people.name(userId, room.id),
        person: (author) => session.people.get(author.id) ?? author,
      },
    });
    if (timeline.state === "ready") session.people.meet(room.id);
    this.#actions.refresh();
    if (session.target && this.#log.reveal((row) => reached(row, session.target))) session.target = null;
    this.#completion.look();
    this.#drawTyping(room);
    this.#offerJumps();
  }

  #rows(room, timeline) {
    const { outbox, mark, quotes } = this.#session;
    const quote = (id) => quotes.get(room.id, id, timeline);
    return rows({ timeline, pending: outbox.of(room.id), mark, me: this.#me, quote });
  }

  get #timeline() {
    return this.#session.open ? this.#session.timeline(this.#session.open) : null;
  }

  #drawTyping(room) {
    const { people, typing } = this.#session;
    const text = sentence(typing.in(room.id).map((userId) => people.name(userId, room.id) ?? "Somebody"));
    if (find("typing").textContent !== text) find("typing").textContent = text;
  }

  #scrolled() {
    if (!this.#room) return;
    this.#offerJumps();
    if (this.#log.pinned) this.#on.end();
  }

  #offerJumps() {
    const { unread } = this.#room;
    const { mark } = this.#session;
    this.#toLatest.hidden = this.#log.pinned && !this.#timeline.hasNewer;
    this.#toLatest.lastElementChild.textContent =
      unread ? `${unread} new ${unread === 1 ? "message" : "messages"}` : "Jump to latest";
    const { newLine } = this.#log;
    if (newLine === "here") this.#seen = mark;
    const away = newLine === "above" || (newLine === null && this.#timeline?.messages[0]?.id > mark);
    this.#toUnread.hidden = mark === null || this.#seen === mark || !away;
  }

  #latest() {
    if (this.#timeline.hasNewer) this.#timeline.load();
    this.#log.toEnd();
  }

  // What the reader does

  /** What the reader may do to a message. */
  #may(message) {
    if (!message?.id || message.deleted_at || message.state) return new Set();
    const mine = message.author.id === this.#me.id;
    const moderates = ["owner", "moderator"].includes(this.#room.role);
    return new Set([
      ...(this.#room.archived ? [] : ["react", "reply"]),
      ...(mine && !this.#room.archived ? ["edit"] : []),
      ...(mine || moderates ? ["remove"] : []),
    ]);
  }

  /** Whether there was something to do. */
  #act(article, what, button = article) {
    const message = this.#log.messageOf(article);
    if (!this.#may(message).has(what)) return false;
    if (what === "react") this.#picker.open(button, (emoji) => this.#toggle(message, emoji));
    if (what === "reply") this.#composer.reply(message);
    if (what === "edit") this.#composer.edit(message);
    if (what === "remove") this.#remove(message);
    if (what === "reply" || what === "edit") this.#actions.leave();
    return true;
  }

  #toggle(message, emoji) {
    if (this.#may(message).has("react")) this.#try(this.#session.changes.toggle(message, emoji));
  }

  #send(body, replyTo) {
    this.#log.toEnd();
    this.#session.send(body, replyTo);
  }

  async #edit(message, body) {
    if (!body.trim()) return this.#remove(message);
    if (body === message.body) return;
    try {
      await this.#session.changes.edit(message, body);
    } catch (problem) {
      this.#on.notify(`Not saved. ${problem.message}`);
      if (this.#session.open === message.room_id && !this.#composer.editing) this.#composer.edit(message, body);
    }
  }

  async #remove(message) {
    if (await confirmDelete(excerpt(message))) await this.#try(this.#session.changes.remove(message));
  }

  #clicked({ target }) {
    const article = target.closest("article");
    const { outbox } = this.#session;
    if (target.matches(".again")) outbox.again(article.dataset.clientId);
    if (target.matches(".discard")) outbox.settle(article.dataset.clientId);
    if (target.matches(".reload")) this.#reload(target.dataset.kind);
    if (target.closest(".quote")) this.showMessage(this.#log.messageOf(article).reply_to);
  }

  #reload(kind) {
    if (kind === "older-failed") return this.#timeline.loadOlder();
    if (kind === "newer-failed") return this.#timeline.loadNewer();
    return this.#timeline.load();
  }

  #mentionable() {
    const { people, open } = this.#session;
    people.meet(open);
    return people.in(open).filter(({ id }) => id !== this.#me.id);
  }

  async #try(work) {
    try {
      await work;
    } catch (problem) {
      this.#on.notify(problem.message);
    }
  }
}

function reached(row, { id, key }) {
  return key ? row.key === key : row.message?.id === id;
}
