// The reactions under a message, as pure functions of it. Doing one twice is doing it once.

/** The message with the user's emoji under it. */
export function react(message, emoji, userId) {
  if (message.deleted_at || has(message, emoji, userId)) return message;
  const known = message.reactions.some((reaction) => reaction.emoji === emoji);
  const reactions = known ? message.reactions : [...message.reactions, { emoji, count: 0, user_ids: [] }];
  return { ...message, reactions: reactions.map((reaction) => (
    reaction.emoji === emoji ? made(emoji, [...reaction.user_ids, userId]) : reaction
  )) };
}

/** The message without it. */
export function unreact(message, emoji, userId) {
  if (!has(message, emoji, userId)) return message;
  const reactions = message.reactions.map((reaction) => (
    reaction.emoji === emoji ? made(emoji, reaction.user_ids.filter((id) => id !== userId)) : reaction
  ));
  return { ...message, reactions: reactions.filter(({ count }) => count > 0) };
}

export function has(message, emoji, userId) {
  return message.reactions.some((reaction) => reaction.emoji === emoji && reaction.user_ids.includes(userId));
}

/** The first picture of a text, or "" where it begins with none. */
export function firstEmoji(text) {
  const [first] = new Intl.Segmenter().segment(text.trim());
  const picture = /\p{Extended_Pictographic}|\p{Regional_Indicator}{2}|\u20e3/u;
  return first && picture.test(first.segment) ? first.segment : "";
}

const made = (emoji, userIds) => ({ emoji, count: userIds.length, user_ids: userIds });
