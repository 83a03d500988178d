// The way into a room that is not in the reader's list: by its address, or by a join link.

import { get, post } from "./api.js";
import { members } from "./labels.js";

export class Door {
  #place;
  #on;

  /** `on`: {enter(room), go(path), again(), notify(text)}. */
  constructor(place, on) {
    this.#place = place;
    this.#on = on;
  }

  async lookAt(roomId) {
    this.#place.say("One moment…");
    try {
      const room = await get(`/api/chat/rooms/${roomId}`);
      if (room.joined) return this.#on.enter(room);
      this.#offer(room.name, room.topic || "You are not in this room yet.", `/api/chat/rooms/${roomId}/join`);
    } catch (problem) {
      this.#refuse(problem, "There is no such room", "It may be gone, or it may be private.");
    }
  }

  async lookThrough(token) {
    this.#place.say("One moment…");
    try {
      const { room, joined } = await get(`/api/chat/links/${token}`);
      if (joined) return this.#on.go(`/rooms/${room.id}`);
      const about = [members(room.member_count), room.topic].filter(Boolean).join(" · ");
      this.#offer(`You are invited to ${room.name}`, about, `/api/chat/links/${token}/join`);
    } catch (problem) {
      this.#refuse(problem, "This link opens nothing", "It was replaced or turned off. Ask for a new one.");
    }
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
    if (problem.status === 404) this.#place.say(title, note);
    else this.#place.say("The room did not load", problem.message, { label: "Load again", run: this.#on.again });
  }
}
