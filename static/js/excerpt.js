// The beginning of a message as plain text on one line, for quotes and the like.

const CHARACTERS = 140; // more than one line has place for

const template = document.createElement("template");
const known = new WeakMap(); // a message never changes; its successor is another object

export function excerpt(message) {
  if (!known.has(message)) known.set(message, read(message));
  return known.get(message);
}

function read({ html, body }) {
  template.innerHTML = html ?? ""; // inert: nothing in it is shown, loaded or run
  const text = html ? template.content.textContent : body;
  return [...text.replace(/\s+/g, " ").trim()].slice(0, CHARACTERS).join("");
}
