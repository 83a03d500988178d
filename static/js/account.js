// The login and the register page: one form each, whose `action` is the endpoint.

import { request } from "./api.js";
import { onSubmit } from "./forms.js";

const form = document.querySelector("#account");

document.querySelector(".aside a").search = location.search; // the way back stays known

onSubmit(form, async ({ username, password }) => {
  await request("POST", form.getAttribute("action"), { username: username.value.trim(), password: password.value });
  location.replace(wayBack());
  return new Promise(() => {}); // nothing is sent twice while the page goes
});

form.querySelector("button").disabled = false; // without this script the form would send what no endpoint takes

/** Where the reader was going, as `?next=` says; only within this site. */
function wayBack() {
  const next = new URLSearchParams(location.search).get("next") ?? "/";
  if (!URL.canParse(next, location.origin)) return "/";
  const { origin, href } = new URL(next, location.origin);
  return origin === location.origin ? href : "/";
}
