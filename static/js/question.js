// A question before what cannot be undone.

const dialog = document.querySelector("#question-dialog");

/** Whether the reader says yes; `action` and `keep` are the words on the buttons. */
export function ask({ title, text, action, keep = "Cancel" }) {
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector("p").textContent = text;
  dialog.querySelector(".danger").textContent = action;
  dialog.querySelector(".quiet").textContent = keep;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
