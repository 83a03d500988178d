// A person's initial on one of a few tints; with a dot where the person is online.

const TINTS = 8; // as many as base.css has

export function paintAvatar(element, user, online = false) {
  element.dataset.initial = [...user.display_name][0]?.toLocaleUpperCase() ?? ""; // a picture, no text
  element.dataset.tint = user.id % TINTS;
  element.toggleAttribute("data-online", online);
}
