// The way into a room that is not in the reader's list: by its address, or by a join link.

import { get, post } from "./api.js";
import { members } from "./labels.js";

export class Door {
  #place;
  #failedAt = null; // the address that could not be asked about
  #on;

  /** `on`: {enter(room), go(path), again(), notify(text)}. */
  constructor(place, on) {
    this.#place = place;
    this.#on = on;
  }

  /** The network is back: ask again, if that is still what the reader waits for. */
  wake() {
    if (this.#failedAt === location.pathname) this.#on.again();
  }

  async lookAt(roomId) {
    this.#begin();
    try {
      const room = await get(`/api/chat/rooms/${roomId}`);
      if (room.joined) return this.#on.enter(room);
      this.#offer(room.name, room.topic || "You are not in this room yet.", `/api/chat/rooms/${roomId}/join`);
    } catch (problem) {
      this.#refuse(problem, "There is no such room", "It may be gone, or it may be private.");
    }
  }

  async lookThrough(token) {
    this.#begin();
    try {
      const { room, joined } = await get(`/api/chat/links/${token}`);
      if (joined) return this.#on.go(`/rooms/${room.id}`);
      const about = [members(room.member_count), room.topic].filter(Boolean).join(" · ");
      this.#offer(`You are invited to ${room.name}`, about, `/api/chat/links/${token}/join`);
    } catch (problem) {
      this.#refuse(problem, "This link opens nothing", "It was replaced or turned off. Ask for a new one.");
    }
  }

  #begin() {
    this.#failedAt = null;
    this.#place.say("One moment…");
  }

  #offer(title, note, path) {
    this.#place.say(title, note, { label: "Join room", run: () => this.#join(path) });
  }

  async #join(path) {
    try {
      await this.#on.enter(await post(path));
    } catch (problem) {
      this.#on.notify(problem.message);
    }
  }

  #refuse(problem, title, note) {
    if (problem.status === 404) return this.#place.say(title, note);
    this.#failedAt = location.pathname;
    this.#place.say("The room did not load", problem.message, { label: "Load again", run: this.#on.again });
  }
}
