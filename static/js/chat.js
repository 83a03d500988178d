// The chat page: wires the session to the stream on one side and to the elements on the other.

import * as api from "./api.js";
import { showBack } from "./back.js";
import { persist, sleep } from "./backoff.js";
import { Conversation } from "./conversation.js";
import { Door } from "./door.js";
import { Early } from "./early.js";
import { showBadge } from "./badge.js";
import { install } from "./install.js";
import { called } from "./labels.js";
import { Place } from "./place.js";
import { ask } from "./question.js";
import { RoomList } from "./room-list.js";
import { Session } from "./session.js";
import { Tabs } from "./tabs.js";

const FRAME_MS = 30; // between two drawings: changes within this time are drawn together
const NOTICE_MS = 8_000;
const FRAME_AFTER_MS = 500; // the rest of the page waits for the messages, but not for long
const UNHEARD = 100; // events that the rest of the page may still hear of
const RETRY_MS = 5_000; // after an event whose consequences could not be fetched
const ROOM_PATH = /^\/rooms\/(\d+)$/;
const JOIN_PATH = /^\/join\/([^/]+)$/;
const LEAVING = {
  title: "Leave this private room?",
  text: "You can come back only when somebody in it adds you again.",
  action: "Leave",
  keep: "Stay",
};

const find = (id) => document.getElementById(id);

class Chat {
  #me;
  #session;
  #tabs;
  #connected = false;
  #drawing = 0; // a timer
  #drawn = -Infinity; // when
  #noticeTimer = 0;
  #place = new Place();
  #roomList = new RoomList();
  #door = new Door(this.#place, {
    enter: (room) => this.#enter(room),
    go: (path) => this.#go(path),
    again: () => this.#route(),
    notify: (text) => this.#notify(text),
  });
  #conversation;
  #frame = null; // once it is loaded
  #unheard = []; // events that came before it
  #settle; // what the reader came for is shown
  #settled = new Promise((resolve) => {
    this.#settle = resolve;
  });

  constructor(me) {
    this.#me = me;
    this.#session = new Session(me, {
      attended: () => this.#attended,
      onchange: () => this.#draw(),
      onremoved: (room) => this.#removed(room),
    });
    this.#conversation = new Conversation(me, this.#session, {
      end: () => this.#draw(),
      notify: (text) => this.#notify(text),
    });
    this.#tabs = new Tabs(`quartchat.${me.id}`, "/api/chat/events", {
      onevent: (event) => this.#receive(event),
      onstate: (connected) => this.#showStatus(connected),
      onrefused: () => api.get("/api/me"),
    });
  }

  async start(early) {
    this.#listen();
    early.release(find("log-out"));
    const cursor = await persist(() => this.#session.load(this.#roomAsked), (problem) => this.#cannotStart(problem));
    this.#session.outbox.restore();
    this.#route();
    setTimeout(this.#settle, FRAME_AFTER_MS);
    await this.#settled;
    this.#tabs.start(cursor);
    await this.#loadFrame();
    early.end();
    install();
  }

  /** Everything around the room, which nobody needs before there is something to read. */
  async #loadFrame() {
    const { Frame } = await import("./frame.js").catch(() => this.#reload());
    this.#frame = new Frame(this.#me, this.#session, {
      enter: (room) => this.#enter(room),
      notify: (text) => this.#notify(text),
      openMessage: (roomId, messageId) => this.openMessage(roomId, messageId),
      attended: (roomId) => roomId === this.#session.open && this.#attended,
      speaks: () => this.#tabs.leading,
    });
    this.#frame.start();
    for (const event of this.#unheard) this.#frame.hear(event);
    this.#drawNow();
  }

  /** A browser does not ask for a module twice: the page is loaded anew, once it can be. */
  async #reload() {
    this.#notify("A part of the page could not be loaded. Trying again…");
    await sleep(RETRY_MS * (0.5 + Math.random()));
    await persist(() => api.get("/api/me"), () => {});
    location.reload();
    return new Promise(() => {});
  }

  #listen() {
    find("leave-room").addEventListener("click", () => this.#leave());
    find("log-out").addEventListener("click", () => this.#logOut());
    document.addEventListener("click", (event) => this.#follow(event));
    document.addEventListener("visibilitychange", () => this.#wake());
    addEventListener("popstate", () => this.#route());
    addEventListener("online", () => this.#online());
    addEventListener("offline", () => this.#showStatus());
    addEventListener("pageshow", ({ persisted }) => persisted && location.reload()); // it heard nothing meanwhile
  }

  // The stream

  async #receive(event) {
    try {
      const received = this.#session.receive(event);
      if (this.#frame) this.#frame.hear(event);
      else if (this.#unheard.length < UNHEARD) this.#unheard.push(event);
      const cursor = await received;
      if (cursor) this.#tabs.cursor = cursor;
    } catch {
      setTimeout(() => this.#tabs.revive({ force: true }), RETRY_MS); // `ready` compares again
    }
  }

  #showStatus(connected = this.#connected) {
    const back = connected && !this.#connected;
    this.#connected = connected;
    const state = !navigator.onLine ? "Offline" : connected ? "Connected" : "Reconnecting";
    const status = find("status");
    if (status.textContent !== state) status.textContent = state;
    status.dataset.state = state;
    this.#conversation.offline = state === "Offline";
    if (back) this.#retry();
  }

  #online() {
    this.#showStatus();
    this.#tabs.revive({ force: true });
    this.#retry();
  }

  /** The server can be reached again: nothing waits any longer for its next try. */
  #retry() {
    this.#session.wake();
    this.#door.wake();
  }

  #wake() {
    if (document.visibilityState !== "visible") return;
    this.#tabs.revive();
    this.#draw();
  }

  // The rooms

  #follow(event) {
    const link = event.target.closest("a[href]");
    if (!link || link.target || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.origin !== location.origin || !(link.pathname === "/" || ROOM_PATH.test(link.pathname))) return;
    event.preventDefault();
    this.#go(link.pathname);
  }

  #go(path) {
    if (path !== location.pathname) history.pushState(null, "", path);
    return this.#route();
  }

  get #roomAsked() {
    return Number(ROOM_PATH.exec(location.pathname)?.[1] ?? 0);
  }

  /** Show what the address says. */
  async #route() {
    const roomId = this.#roomAsked;
    const token = JOIN_PATH.exec(location.pathname)?.[1];
    const left = this.#session.open;
    document.body.dataset.view = roomId || token ? "room" : "list";
    this.#session.enter(roomId);
    this.#drawNow(); // before anyone can type, so that the field holds the room's own draft
    if (this.#session.open) return this.#arrive();
    if (roomId) return this.#door.lookAt(roomId);
    if (token) return this.#door.lookThrough(token);
    this.#welcome();
    this.#roomList.focus(left);
  }

  #arrive() {
    // On a touch screen the focus would bring up the keyboard over the messages.
    if (matchMedia("(pointer: fine)").matches) this.#conversation.focus();
  }

  #welcome() {
    const [title, note] = this.#session.rooms.ids.length
      ? ["Choose a room", "Everything you are part of is in the list."]
      : [`Welcome, ${this.#me.display_name}`, "Browse the rooms that are open to everyone, or make a new one."];
    this.#place.say(title, note);
  }

  #enter(room) {
    this.#session.put(room);
    return this.#go(`/rooms/${room.id}`);
  }

  async #leave() {
    const room = this.#session.rooms.get(this.#session.open);
    if (room.visibility !== "public" && !(await ask(LEAVING))) return;
    try {
      await api.post(`/api/chat/rooms/${room.id}/leave`);
      this.#go("/");
      this.#session.drop(room.id);
      this.#welcome();
    } catch (problem) {
      this.#notify(problem.message);
    }
  }

  #removed(room) {
    if (room.id !== this.#session.open) return;
    this.#session.enter(null);
    this.#place.say(`You are no longer in ${called(room)}`, "You left it elsewhere, were removed from it, or it was deleted.");
  }

  /** Show a message in its place, however old. */
  async openMessage(roomId, messageId) {
    await this.#go(`/rooms/${roomId}`);
    if (this.#session.open === roomId) await this.#conversation.showMessage(messageId);
  }

  async #logOut() {
    try {
      await api.post("/api/logout");
      this.#session.leaveNothingBehind();
      api.toLogin();
    } catch (problem) {
      this.#notify(problem.message);
    }
  }

  // Drawing

  get #attended() {
    return document.visibilityState === "visible" && this.#conversation.atEnd;
  }

  #draw() {
    this.#drawing ||= setTimeout(() => this.#drawNow(), this.#drawn + FRAME_MS - performance.now());
  }

  #drawNow() {
    clearTimeout(this.#drawing);
    this.#drawing = 0;
    this.#drawn = performance.now();
    this.#drawRoom();
    const { rooms, open, presence } = this.#session;
    this.#roomList.render(rooms.sorted, open, presence);
    this.#frame?.draw(rooms.get(open) ?? null);
    this.#drawTitle();
    if (!this.#frame && !this.#awaited) this.#rest();
  }

  /** The rest of the page begins once this drawing is on the screen, which is when the next could be. */
  #rest() {
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(this.#settle)));
  }

  /** Whether the open room's messages are on their way. */
  get #awaited() {
    const { open } = this.#session;
    return Boolean(open) && ["new", "loading"].includes(this.#session.timeline(open).state);
  }

  #drawRoom() {
    const room = this.#session.rooms.get(this.#session.open);
    if (!room) return;
    this.#place.showRoom(room, this.#session.presence.has(room.peer?.id));
    this.#conversation.draw(room);
    if (this.#attended) this.#session.attend();
  }

  #drawTitle() {
    const { rooms, open } = this.#session;
    const room = rooms.get(open);
    showBadge(rooms, room && called(room));
    showBack(rooms.elsewhere(open));
  }

  #cannotStart(problem) {
    this.#place.say("quartchat cannot be reached", `${problem.message} Trying again…`);
  }

  #notify(text) {
    clearTimeout(this.#noticeTimer);
    find("notice").textContent = text;
    this.#noticeTimer = setTimeout(() => find("notice").replaceChildren(), NOTICE_MS);
  }
}

const early = new Early();

persist(() => api.get("/api/me"), (problem) => {
  document.body.dataset.view = "room"; // a phone shows the words instead of an empty list
  new Place().say("quartchat cannot be reached", `${problem.message} Trying again…`);
}).then(({ user }) => new Chat(user).start(early));
