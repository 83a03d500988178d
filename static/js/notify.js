// Notifications of the browser, of what is meant for the reader: mentions and direct messages.
// No DOM but the browser's own `Notification`, which is given.

const PATIENCE_MS = 1_500; // another tab or device that shows the message says so within this
const LENGTH = 140; // characters of a text

/** Whether a message is meant for this reader. */
export function meantFor(me, message, room) {
  if (message.author.id === me.id) return false;
  return room.visibility === "direct" || message.mentions.includes(me.id);
}

export class Notify {
  #me;
  #on;
  #storage;
  #key;
  #shown = new Map(); // room id → Notification

  /**
   * `on`: {room(id), speaks(): whether this tab is the one to tell, attended(roomId),
   * open(roomId, messageId)}; `browser`: the Notification class, where there is one.
   */
  constructor(me, storage, on, browser = globalThis.Notification) {
    this.#me = me;
    this.#storage = storage;
    this.#on = on;
    this.#key = `quartchat.notify.${me.id}`;
    this.browser = browser;
  }

  get wanted() {
    return this.browser?.permission === "granted" && this.#storage.get(this.#key) === "on";
  }

  /** Turn it on or off; resolves to whether it is on. The browser may ask the reader. */
  async want(wanted) {
    const granted = wanted && (await this.browser?.requestPermission()) === "granted";
    this.#storage.set(this.#key, granted ? "on" : "off");
    return granted;
  }

  hear({ type, data }) {
    const room = this.#on.room(data.room_id); // a new one is still being asked about
    if (type === "message" && (!room || meantFor(this.#me, data, room))) setTimeout(() => this.#tell(data), PATIENCE_MS);
    if (type === "read" && data.user_id === this.#me.id) this.#withdraw(data.room_id);
  }

  #tell(message) {
    const room = this.#on.room(message.room_id);
    if (!room || !meantFor(this.#me, message, room)) return;
    if (!this.wanted || !this.#on.speaks() || room.read_id >= message.id || this.#on.attended(room.id)) return;
    const { display_name: name } = message.author;
    const title = room.visibility === "direct" ? name : `${name} in ${room.name}`;
    const tag = `quartchat.${this.#me.id}.${room.id}`; // one for each room: the newest
    const shown = new this.browser(title, { body: shorten(message.body), tag, icon: "/static/icon-192.png" });
    this.#shown.set(room.id, shown);
    shown.onclick = () => {
      globalThis.focus?.();
      this.#withdraw(room.id);
      this.#on.open(room.id, message.id);
    };
  }

  #withdraw(roomId) {
    this.#shown.get(roomId)?.close();
    this.#shown.delete(roomId);
  }
}

function shorten(text) {
  const characters = [...text];
  return characters.length <= LENGTH ? text : `${characters.slice(0, LENGTH - 1).join("")}…`;
}
