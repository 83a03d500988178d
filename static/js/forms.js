// What every form of a dialog does: show what was refused, and be sent once at a time.

export function closeButtons(dialog) {
  for (const button of dialog.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => dialog.close());
  }
}

/** Run `send(fields)` when the form is submitted; what it throws is shown in the form. */
export function onSubmit(form, send) {
  const problem = form.querySelector(".problem");
  const button = form.querySelector("button:not([type=button])");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = "";
    try {
      await send(Object.fromEntries([...form.elements].map((each) => [each.name, each])));
    } catch (error) {
      if (!error.sentences) throw error;
      problem.textContent = error.sentences.join(" ");
      form.querySelector("input:not([type=checkbox])")?.focus();
    } finally {
      button.disabled = false;
    }
  });
}
