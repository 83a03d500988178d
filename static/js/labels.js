// The few words and signs that stand for a room in more than one place.

export const members = (count) => `${count.toLocaleString()} ${count === 1 ? "member" : "members"}`;

const ICONS = { public: "#icon-hash", private: "#icon-lock", direct: "#icon-person" };

export const icon = (visibility) => ICONS[visibility];

/** What a room is called: a direct one by the other person in it. */
export const called = ({ name, peer }) => name || peer?.display_name || "this room";
