// The login and the register page: one form each, whose `action` is the endpoint.

import { request } from "./api.js";

const form = document.querySelector("#account");
const problem = document.querySelector("#problem");
const button = form.querySelector("button");

document.querySelector(".aside a").search = location.search; // the way back stays known

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  show([]);
  try {
    const { username, password } = Object.fromEntries(new FormData(form));
    await request("POST", form.getAttribute("action"), { username: username.trim(), password });
    location.replace(wayBack());
  } catch (error) {
    show(sentences(error), new Set(error.errors.map(({ field }) => field)));
    button.disabled = false;
    form.elements.password.focus();
  }
});

/** Where the reader was going, as `?next=` says; only within this site. */
function wayBack() {
  const next = new URLSearchParams(location.search).get("next") ?? "/";
  if (!URL.canParse(next, location.origin)) return "/";
  const { origin, href } = new URL(next, location.origin);
  return origin === location.origin ? href : "/";
}

/** A value that breaks a rule is best answered by the rule, which stands under its field. */
function sentences({ code, errors, sentences: given }) {
  const rules = errors.map(({ field }) => document.querySelector(`#${field}-hint`)?.textContent);
  if (code !== "validation_failed" || rules.includes(undefined) || rules.length === 0) return given;
  return errors.map(({ field }, at) => `${form.elements[field].labels[0].textContent}: ${rules[at]}.`);
}

function show(lines, fields = new Set()) {
  problem.replaceChildren(...lines.map((text) => {
    const line = document.createElement("p");
    line.textContent = text;
    return line;
  }));
  for (const input of form.querySelectorAll("input")) {
    input.setAttribute("aria-invalid", fields.has(input.name));
  }
}
