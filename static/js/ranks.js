// Who may do what in a room, as the server decides it; here it decides which buttons are there.

const RANKS = { member: 0, moderator: 1, owner: 2 };

export const ROLES = Object.keys(RANKS);
export const moderates = (role) => RANKS[role] >= RANKS.moderator;
export const owns = (role) => role === "owner";

/** Whether who has `role` may take out or ban a member who has `other`; null: somebody else. */
export const outranks = (role, other) => moderates(role) && (other === null || RANKS[role] > RANKS[other]);

/** Whether the reader may invite: everybody into a public room, moderators into a private one. */
export const invites = ({ role, visibility, archived }) => (
  !archived && visibility !== "direct" && (visibility === "public" || moderates(role))
);
