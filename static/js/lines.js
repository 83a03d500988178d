// Everything in the log that is not a message: one line of our own words.

import { day } from "./times.js";

const WORDS = {
  loading: "Loading messages…",
  older: "Loading older messages…",
  newer: "Loading newer messages…",
  failed: "The messages could not be loaded.",
  "older-failed": "Older messages could not be loaded.",
  "newer-failed": "Newer messages could not be loaded.",
  new: "New",
};

export function createLine({ kind, at }, roomName) {
  const element = document.createElement("div");
  element.className = `line ${kind}`;
  const text = document.createElement("span");
  text.textContent = kind === "day" ? day(at) : WORDS[kind] ?? `This is the beginning of ${roomName}.`;
  element.append(text);
  if (kind.endsWith("failed")) element.append(reloadButton(kind));
  return element;
}

function reloadButton(kind) {
  const button = document.createElement("button");
  button.className = "link reload";
  button.type = "button";
  button.dataset.kind = kind;
  button.textContent = "Load again";
  return button;
}
