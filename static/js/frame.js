// Everything around the open room: its panels, the dialogs, the invitations, who is online.

import { paintAvatar } from "./avatar.js";
import { Details } from "./details.js";
import { BrowseDialog, NewRoomDialog } from "./dialogs.js";
import { DirectDialog, direct } from "./direct.js";
import { goes } from "./early.js";
import { Invitations } from "./invitations.js";
import { InviteDialog } from "./invite.js";
import { Notify } from "./notify.js";
import { Panels } from "./panels.js";
import { PersonCard } from "./person.js";
import { Profile } from "./profile.js";
import { RoomSettings } from "./room-settings.js";
import { Search } from "./search.js";
import { Switcher } from "./switcher.js";

const narrow = matchMedia("(width < 64rem)"); // a panel covers the room, as people.css says

const INVITING = new Set(["ready", "invitation", "invitation.remove"]); // events

const find = (id) => document.getElementById(id);

export class Frame {
  #me;
  #session;
  #on;
  #room = null; // in view
  #details;
  #invitations;
  #invite;
  #notify;
  #person;
  #search;
  #switcher;
  #panels = new Panels((id) => this.#panelChanged(id));

  /** `on`: {enter(room), notify(text), openMessage(roomId, id), attended(roomId), speaks()}. */
  constructor(me, session, on) {
    this.#me = me;
    this.#session = session;
    this.#on = on;
    const online = (userId) => session.presence.has(userId);
    this.#details = new Details({ online, onperson: (user, role) => this.#show(user, role) });
    this.#person = new PersonCard(me, {
      open: (room) => on.enter(room),
      changed: () => this.#details.loadBans(),
      closed: (user) => this.#details.focus(user),
    });
    this.#invitations = new Invitations({ onaccepted: (room) => on.enter(room), onproblem: (text) => on.notify(text) });
    this.#invite = new InviteDialog({ online, known: () => this.#known, within: (userId) => this.#within(userId) });
    this.#notify = new Notify(me, session.storage, {
      room: (id) => session.rooms.get(id),
      speaks: on.speaks,
      attended: on.attended,
      open: on.openMessage,
    });
    this.#search = new Search({
      rooms: () => session.rooms.sorted,
      people: () => this.#known,
      person: (author) => session.people.get(author.id) ?? author,
      open: (roomId, messageId) => this.#openFound(roomId, messageId),
    });
    this.#switcher = new Switcher({
      me,
      online,
      rooms: () => session.rooms.sorted,
      go: (room) => on.enter(room),
      talk: (user) => this.#talk(user),
      search: (text) => this.#searchFor(text),
    });
    this.#listen({ online });
  }

  start() {
    this.#drawMe();
    this.#invitations.load();
  }

  hear(event) {
    this.#details.hear(event);
    this.#notify.hear(event);
    if (INVITING.has(event.type)) this.#invitations.load();
    if (event.type === "user.update") this.#renamed(event.data);
  }

  /** `room`: the one in view, or null. */
  draw(room) {
    if (room?.id !== this.#room?.id) this.#changed(room);
    this.#room = room;
    for (const { id, peer } of this.#session.rooms.sorted) if (peer) this.#session.presence.look(id);
    if (room) this.#details.draw(room);
  }

  #listen({ online }) {
    const enter = (room) => this.#on.enter(room);
    const newRoom = new NewRoomDialog(enter);
    const browse = new BrowseDialog(enter);
    const directs = new DirectDialog(this.#me, { online, known: () => this.#known, onopen: enter });
    const settings = new RoomSettings((room) => this.#session.put(room));
    const profile = new Profile(this.#me, this.#notify, {
      renamed: (user) => {
        this.#session.rename(user);
        this.#drawMe();
      },
      gone: () => this.#session.leaveNothingBehind(),
    });
    find("new-room").addEventListener("click", () => newRoom.show());
    find("browse-rooms").addEventListener("click", () => browse.show());
    find("new-direct").addEventListener("click", () => directs.show());
    find("account").addEventListener("click", () => profile.show());
    find("show-details").addEventListener("click", ({ currentTarget }) => this.#panels.toggle("details", currentTarget));
    find("show-search").addEventListener("click", ({ currentTarget }) => this.#panels.toggle("search", currentTarget));
    find("invite").addEventListener("click", () => this.#invite.show(this.#room));
    find("switch").addEventListener("click", () => this.#switcher.show());
    document.addEventListener("keydown", (event) => this.#shortcut(event));
    find("room-settings").addEventListener("click", () => settings.show(this.#room));
  }

  #shortcut(event) {
    if (!goes(event)) return;
    event.preventDefault(); // the browser's own search field
    if (!document.querySelector("dialog[open]")) this.#switcher.show();
  }

  async #talk(user) {
    try {
      this.#on.enter(await direct(user.id));
    } catch (problem) {
      this.#on.notify(problem.message);
    }
  }

  #renamed(user) {
    this.#person.rename(user);
    this.#invitations.rename(user);
    if (user.id === this.#me.id) this.#drawMe();
  }

  #drawMe() {
    find("my-name").textContent = this.#me.display_name;
    find("account").setAttribute("aria-label", `${this.#me.display_name}, your account`);
    paintAvatar(find("my-avatar"), this.#me);
  }

  /** Another room is in view, or none. */
  #changed(room) {
    this.#room = room;
    if (room) {
      this.#session.presence.look(room.id);
      this.#switcher.visited(room.id);
    }
    if (!room || narrow.matches) this.#panels.close({ focus: false });
    else if (this.#panels.open === "details") this.#details.show(room);
    else if (this.#panels.open === "search") this.#search.follow(room);
  }

  #panelChanged(id) {
    if (id === "details") {
      this.#details.show(this.#room);
      this.#details.draw(this.#room);
    } else this.#details.hide();
    if (id === "search") this.#search.show(this.#room);
  }

  #searchFor(text) {
    if (this.#panels.open !== "search") this.#panels.show("search", find("show-search"));
    this.#search.show(this.#room, text);
  }

  async #openFound(roomId, messageId) {
    if (narrow.matches) this.#panels.close({ focus: false });
    await this.#on.openMessage(roomId, messageId);
  }

  #show(user, role) {
    this.#person.show(this.#room, user, { role, online: this.#session.presence.has(user.id) });
  }

  /** The people that the reader has seen, by name. */
  get #known() {
    const { people, rooms } = this.#session;
    for (const { peer } of rooms.sorted) if (peer) people.know(peer);
    return [...people.values()].sort((a, b) => a.display_name.localeCompare(b.display_name));
  }

  #within(userId) {
    return userId === this.#me.id || Boolean(this.#details.roster.get(userId));
  }
}
