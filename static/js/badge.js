// How much is new, on the tab: in its title, on its icon, and on the installed app's icon.

const icon = document.querySelector("link[rel=icon]");
const plain = icon.getAttribute("href");
const dotted = plain.replace("favicon.svg", "favicon-dot.svg");
let shown = 0; // on the installed app's icon

/** `name` is what is in view. What is meant for the reader is counted, else what is unread. */
export function showBadge({ unread, forMe }, name) {
  const count = forMe || unread;
  document.title = `${count ? `(${count}) ` : ""}${name ? `${name} · ` : ""}quartchat`;
  const href = forMe ? dotted : plain;
  if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
  if (forMe !== shown) navigator.setAppBadge?.(forMe).catch(() => {}); // 0 takes it away
  shown = forMe;
}
