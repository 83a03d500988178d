// What every form does: be sent once at a time, and say what was refused and where.

export function closeButtons(dialog) {
  for (const button of dialog.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => dialog.close());
  }
}

/** Run `send(fields)` when the form is submitted; what it throws is shown in the form. */
export function onSubmit(form, send) {
  const button = form.querySelector("button:not([type=button])");
  form.addEventListener("reset", () => forget(form));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    forget(form);
    try {
      await send(Object.fromEntries([...form.elements].map((each) => [each.name, each])));
    } catch (error) {
      if (!error.sentences) throw error;
      refuse(form, error);
    } finally {
      button.disabled = false;
    }
  });
}

/** Tell a problem; each field that it is about is marked, and the first one gets the focus. */
function refuse(form, problem) {
  const faults = problem.errors
    .map(({ field, message }) => ({ input: form.elements.namedItem(field), message }))
    .filter(({ input }) => input);
  const elsewhere = problem.sentences.filter((text) => !faults.some(({ message }) => message === text));
  const named = problem.code === "validation_failed"; // its sentences do not say what they are about
  form.querySelector(".problem").replaceChildren(
    ...elsewhere.map((text) => line(text)),
    ...faults.map(({ input, message }) => {
      mark(input);
      return line(named ? `${input.labels[0].textContent}: ${message}` : message, faultId(input));
    }),
  );
  const first = ["[aria-invalid]", "[data-again]", "input:not([type=checkbox], .unseen)"];
  first.map((selector) => form.querySelector(selector)).find(Boolean)?.focus();
}

function forget(form) {
  form.querySelector(".problem").replaceChildren();
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    describe(input, others(input));
  }
}

function mark(input) {
  input.setAttribute("aria-invalid", "true");
  describe(input, [faultId(input), ...others(input)]);
}

const faultId = (input) => `${input.id}-fault`;
const others = (input) => (input.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id && id !== faultId(input));

function describe(input, ids) {
  if (ids.length > 0) input.setAttribute("aria-describedby", ids.join(" "));
  else input.removeAttribute("aria-describedby");
}

function line(text, id = "") {
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  if (id) paragraph.id = id;
  return paragraph;
}
