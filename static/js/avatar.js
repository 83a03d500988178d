// A person's initial on one of a few tints.

const TINTS = 8; // as many as base.css has

export function paintAvatar(element, user) {
  element.textContent = [...user.display_name][0]?.toLocaleUpperCase() ?? "";
  element.dataset.tint = user.id % TINTS;
}
