// The way back to the rooms, which a phone shows in place of their list, and what waits there.

import { most, plural } from "./labels.js";

const links = document.querySelectorAll(".back");

/** `elsewhere`: {unread, mentions, directs}, of the rooms that are not in view. */
export function showBack({ unread, mentions, directs }) {
  const forMe = mentions + directs;
  const label = [
    "Back to rooms",
    mentions && plural(mentions, "mention"),
    directs && plural(directs, "direct message"),
    unread > forMe && `${unread} unread`,
  ].filter(Boolean).join(", ");
  for (const link of links) {
    if (link.getAttribute("aria-label") !== label) link.setAttribute("aria-label", label);
    const badge = link.querySelector(".badge");
    badge.hidden = !unread;
    badge.toggleAttribute("data-for-me", forMe > 0);
    badge.dataset.count = forMe ? most(forMe) : "";
  }
}
