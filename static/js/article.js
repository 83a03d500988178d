// One message as an element. What a person typed goes in as text; only the server's
// sanitised HTML goes in as HTML.

import { paintAvatar } from "./avatar.js";
import { excerpt } from "./excerpt.js";
import { shortTime, time, timeAndDate } from "./times.js";

const template = document.querySelector("#message-template");
const failureTemplate = document.querySelector("#failure-template");
const list = new Intl.ListFormat(undefined, { type: "conjunction" });
const NAMED = 12; // people under one reaction
let made = 0; // for ids that labels refer to

export function createArticle() {
  const article = template.content.firstElementChild.cloneNode(true);
  const parts = ["author", "time", "text"].map((part) => {
    const element = article.querySelector(`.${part}`);
    element.id = `message-${made}-${part}`;
    return element.id;
  });
  made += 1;
  article.setAttribute("aria-labelledby", parts.join(" "));
  return article;
}

/**
 * `before` is the row that the article shows so far, if any; `name(userId)` may be null;
 * `person(author)` is the author as known now: a message keeps the name of its time.
 */
export function fillArticle(article, { message, grouped, quote }, before, { me, name, person }) {
  const author = person(message.author);
  article.dataset.state = state(message);
  article.dataset.clientId = message.client_id ?? "";
  article.classList.toggle("grouped", grouped);
  article.classList.toggle("for-me", message.mentions.includes(me.id));
  paintAvatar(article.querySelector(".avatar"), author);
  article.querySelector(".author").textContent = author.display_name;
  article.querySelector(".author").title = `@${author.username}`;
  fillTime(article.querySelector("time"), message.created_at);
  fillQuote(article.querySelector(".quote"), quote, person);
  if (!before || text(before.message) !== text(message)) fillText(article.querySelector(".text"), message, me);
  fillFate(article.querySelector(".fate"), message);
  fillReactions(article.querySelector(".reactions"), message, me, name);
}

function state({ id, state: ours, deleted_at: deletedAt }) {
  if (deletedAt) return "deleted";
  return ours ?? (id ? "sent" : "pending");
}

function fillTime(element, iso) {
  element.dateTime = iso;
  element.textContent = time(iso);
  element.dataset.short = shortTime(iso);
  element.title = timeAndDate(iso);
}

/** What decides how the text looks. */
const text = ({ html, body, deleted_at: deletedAt }) => (deletedAt ? null : html ?? `\n${body}`);

function fillText(element, message, me) {
  if (message.deleted_at) element.textContent = "This message was deleted.";
  else if (message.html) setHtml(element, message.html, me);
  else element.textContent = message.body;
}

function setHtml(element, html, me) {
  element.innerHTML = html; // from the server, which renders and sanitises it
  for (const link of element.querySelectorAll("a[href]")) {
    link.target = "_blank"; // the chat stays open
    link.rel = "noopener noreferrer nofollow";
  }
  for (const code of element.querySelectorAll("pre")) code.tabIndex = 0; // scrolled by keyboard, too
  for (const mention of element.querySelectorAll(`.mention[data-user="${me.id}"]`)) mention.classList.add("mine");
}

function fillQuote(element, quote, person) {
  element.hidden = quote === undefined;
  if (element.hidden) return;
  const gone = quote?.gone || quote?.deleted_at;
  element.disabled = Boolean(quote?.gone);
  element.querySelector(".quote-author").textContent = quote?.author && !gone ? person(quote.author).display_name : "";
  element.querySelector(".quote-text").textContent = quote === null ? "…" : gone ? "A deleted message" : excerpt(quote);
}

/** What became of it: on its way, refused, or edited since. */
function fillFate(element, { id, state: ours, reason, edited_at: editedAt, deleted_at: deletedAt }) {
  const edited = editedAt && !deletedAt;
  element.hidden = Boolean(id) && !edited && ours !== "saving";
  element.title = edited ? timeAndDate(editedAt) : "";
  if (ours === "failed") fillFailure(element, reason);
  else if (ours === "saving") element.textContent = "Saving…";
  else if (edited) element.textContent = "Edited";
  else element.textContent = id ? "" : "Sending…";
}

/** The buttons stay the same elements: somebody may be about to press one. */
function fillFailure(element, reason) {
  if (!element.querySelector(".reason")) element.replaceChildren(failureTemplate.content.cloneNode(true));
  element.querySelector(".reason").textContent = `Not sent. ${reason}`;
}

/** A button stays the same element while its emoji is there, so that it keeps the focus. */
function fillReactions(element, { reactions }, me, name) {
  element.hidden = reactions.length === 0;
  const old = new Map([...element.querySelectorAll(".reaction")].map((button) => [button.dataset.emoji, button]));
  const buttons = reactions.map((reaction) => {
    const button = old.get(reaction.emoji) ?? createReaction(reaction.emoji);
    const who = people(reaction.user_ids, me, name);
    button.lastElementChild.textContent = reaction.count.toLocaleString();
    button.setAttribute("aria-pressed", reaction.user_ids.includes(me.id));
    button.setAttribute("aria-label", `${reaction.emoji} ${reaction.count.toLocaleString()}, ${who}`);
    button.title = who;
    return button;
  });
  if (buttons.length === element.children.length && buttons.every((button, at) => button === element.children[at])) return;
  const { activeElement } = document;
  element.replaceChildren(...buttons);
  if (buttons.includes(activeElement)) activeElement.focus();
}

function createReaction(emoji) {
  const button = document.createElement("button");
  button.className = "reaction";
  button.type = "button";
  button.tabIndex = -1; // `actions.js` makes it a stop where the reader is
  button.dataset.emoji = emoji;
  button.append(span("emoji", emoji), span("count", ""));
  return button;
}

function people(ids, me, name) {
  const mine = ids.includes(me.id) ? ["you"] : [];
  const others = ids.filter((id) => id !== me.id).slice(0, NAMED).map(name);
  const known = others.filter(Boolean);
  const rest = ids.length - mine.length - known.length;
  return list.format([...mine, ...known, ...(rest ? [`${rest.toLocaleString()} more`] : [])]);
}

function span(className, text) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}
