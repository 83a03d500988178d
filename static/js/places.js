// Where one can go, best first: what the switcher offers. No DOM, no network.

import { called } from "./labels.js";
import { forMe } from "./rooms.js";

const MOST = 8; // rooms
const byName = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });

const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();

/** How well a text fits what was typed: 0 begins so, 1 a word of it does, 2 it is in there; else -1. */
export function fit(text, typed) {
  const [within, wanted] = [plain(text), plain(typed)];
  if (within.startsWith(wanted)) return 0;
  if (within.split(/[^\p{L}\p{N}]+/u).some((word) => word.startsWith(wanted))) return 1;
  return within.includes(wanted) ? 2 : -1;
}

/** Rooms whose name fits; without anything typed what is new, then what was open last. */
export function places(rooms, typed, latest = []) {
  const age = (room) => (latest.includes(room.id) ? latest.indexOf(room.id) : latest.length);
  const rank = (room) => {
    if (!typed) return forMe(room) ? 0 : room.unread ? 1 : 2;
    const fits = [called(room), room.peer?.username ?? ""].map((text) => fit(text, typed)).filter((each) => each >= 0);
    return fits.length ? Math.min(...fits) : -1;
  };
  return rooms.map((room) => ({ room, at: rank(room) })).filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at || age(a.room) - age(b.room) || byName.compare(called(a.room), called(b.room)))
    .slice(0, MOST).map(({ room }) => room);
}
