// The timelines of the rooms that were looked at last, which open again without a fetch.

import { get } from "./api.js";
import { Timeline } from "./timeline.js";

const PER_PAGE = 50; // messages
const KEPT = 20; // rooms

export class Timelines {
  #byRoom = new Map(); // room id → Timeline, the latest opened last
  #onpage;
  #onchange;

  /** `onpage(messages)` hears of every message that is fetched. */
  constructor(onpage, onchange) {
    this.#onpage = onpage;
    this.#onchange = onchange;
  }

  /** The room's timeline, loading if this is its first use and its newest page is not given. */
  open(roomId, page = null) {
    const timeline = this.#byRoom.get(roomId) ?? new Timeline((where) => this.#fetch(roomId, where), this.#onchange);
    this.#byRoom.delete(roomId);
    this.#byRoom.set(roomId, timeline);
    if (this.#byRoom.size > KEPT) this.#byRoom.delete(this.#byRoom.keys().next().value);
    if (page) timeline.show(this.#met(page));
    else if (timeline.state === "new") timeline.load();
    return timeline;
  }

  /** The room's timeline if there is one. */
  get(roomId) {
    return this.#byRoom.get(roomId);
  }

  drop(roomId) {
    this.#byRoom.delete(roomId);
  }

  /** The network is back. */
  wake() {
    for (const timeline of this.#byRoom.values()) timeline.wake();
  }

  /** Nothing that is held is sure to be so: the open one is read anew, others when they open. */
  renew(openId) {
    for (const roomId of [...this.#byRoom.keys()]) if (roomId !== openId) this.drop(roomId);
    this.get(openId)?.renew();
  }

  async #fetch(roomId, where) {
    const query = new URLSearchParams({ limit: PER_PAGE, ...where });
    return this.#met(await get(`/api/chat/rooms/${roomId}/messages?${query}`));
  }

  #met(page) {
    this.#onpage(page.messages);
    return page;
  }
}
