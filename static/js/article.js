// One message as an element. What a person typed goes in as text; only the server's
// sanitised HTML goes in as HTML.

import { paintAvatar } from "./avatar.js";
import { time, timeAndDate } from "./times.js";

const template = document.querySelector("#message-template");
const failureTemplate = document.querySelector("#failure-template");

export function createArticle() {
  return template.content.firstElementChild.cloneNode(true);
}

export function fillArticle(article, { message, grouped }) {
  article.dataset.state = message.deleted_at ? "deleted" : message.id ? "sent" : message.state;
  article.dataset.clientId = message.client_id ?? "";
  article.classList.toggle("grouped", grouped);
  paintAvatar(article.querySelector(".avatar"), message.author);
  article.querySelector(".author").textContent = message.author.display_name;
  article.querySelector(".author").title = `@${message.author.username}`;
  fillTime(article.querySelector("time"), message.created_at);
  fillText(article.querySelector(".text"), message);
  fillFate(article.querySelector(".fate"), message);
}

function fillTime(element, iso) {
  element.dateTime = iso;
  element.textContent = time(iso);
  element.title = timeAndDate(iso);
}

function fillText(element, message) {
  if (message.deleted_at) element.textContent = "This message was deleted.";
  else if (message.id) setHtml(element, message.html);
  else element.textContent = message.body;
}

function setHtml(element, html) {
  element.innerHTML = html; // from the server, which renders and sanitises it
  for (const link of element.querySelectorAll("a[href]")) {
    link.target = "_blank"; // the chat stays open
    link.rel = "noopener noreferrer nofollow";
  }
}

/** What became of it: on its way, refused, or edited since. */
function fillFate(element, { id, state, reason, edited_at: editedAt, deleted_at: deletedAt }) {
  const edited = editedAt && !deletedAt;
  element.hidden = Boolean(id) && !edited;
  if (edited) element.textContent = "Edited";
  else if (state === "failed") element.replaceChildren(failure(reason));
  else element.textContent = id ? "" : "Sending…";
}

function failure(reason) {
  const content = failureTemplate.content.cloneNode(true);
  content.querySelector(".reason").textContent = `Not sent. ${reason}`;
  return content;
}
