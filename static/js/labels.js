// The few words and signs that stand for a room in more than one place.

export const members = (count) => `${count.toLocaleString()} ${count === 1 ? "member" : "members"}`;

export const icon = (visibility) => (visibility === "public" ? "#icon-hash" : "#icon-lock");
