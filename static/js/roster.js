// Who is in one room and with which role, as far as it is loaded. No DOM, no network.

import { ROLES } from "./ranks.js";

const byName = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });

export class Roster {
  #members = new Map(); // user id → {user, role}

  add(members) {
    for (const member of members) this.#members.set(member.user.id, member);
  }

  get(userId) {
    return this.#members.get(userId);
  }

  /** Owners first, then moderators; in each by name. */
  get sorted() {
    return [...this.#members.values()].sort((a, b) => (
      ROLES.indexOf(b.role) - ROLES.indexOf(a.role)
      || byName.compare(a.user.display_name, b.user.display_name)
      || a.user.id - b.user.id
    ));
  }

  rename(user) {
    const member = this.#members.get(user.id);
    if (member) this.#members.set(user.id, { ...member, user });
  }

  /** Apply `member.join`, `member.update` or `member.leave`. */
  hear(type, { user, role }) {
    if (type === "member.leave") this.#members.delete(user.id);
    else if (type === "member.join" || this.#members.has(user.id)) this.#members.set(user.id, { user, role });
  }
}
