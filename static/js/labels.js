// The few words and signs that stand for a room in more than one place.

const MOST = 99; // a badge has room for two digits

export const plural = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;

export const members = (count) => plural(count, "member");

/** A count as a badge shows it. */
export const most = (count) => (count > MOST ? `${MOST}+` : String(count));

const ICONS = { public: "#icon-hash", private: "#icon-lock", direct: "#icon-person" };

export const icon = (visibility) => ICONS[visibility];

/** What a room is called: a direct one by the other person in it. */
export const called = ({ name, peer }) => name || peer?.display_name || "this room";
