"""Two ways to work the page, and no third: keys alone, and a finger on a phone.

A flow is written once, in what a person wants (`use`, `write`, `pick`, `leave`); each kind of
hands does it in its own way and refuses what a person with such hands could not do.
"""

import time
from typing import Any, ClassVar, Protocol

from clients import WAIT_S
from playwright.sync_api import Error, Locator, Page, expect

STOPS = 120  # of the Tab key, at most, on the way to a control
STEPS = 60  # of an arrow key
TARGET_PX = 40  # a finger's, at least; WCAG 2.2 asks for 24
PHONE = {"width": 360, "height": 740}

_FOCUSED = "element => element === document.activeElement"
_BELOW_FOCUS = """element =>
  document.activeElement.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING"""
_RINGED = """element => {
  // Itself, or what is around it as its frame.
  const ringed = [element, element.parentElement].some(each => {
    const { outlineStyle, outlineWidth } = getComputedStyle(each);
    return outlineStyle !== 'none' && outlineWidth !== '0px';
  });
  return element.matches(':focus-visible') && ringed;
}"""
_TARGET = """element => {
  const box = (element.type === 'checkbox' ? element.labels[0] : element).getBoundingClientRect();
  const at = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  return {
    size: [Math.round(box.width), Math.round(box.height)],
    inside: box.left >= 0 && box.right <= innerWidth,
    wide: document.documentElement.scrollWidth > innerWidth,
    free: element.contains(at) || at?.contains(element) || at === element.labels?.[0],
  };
}"""


class Hands(Protocol):
    """What a person does to a page."""

    options: ClassVar[dict[str, Any]]  # of the browser
    page: Page

    def __init__(self, page: Page) -> None: ...

    def use(self, control: Locator) -> None:
        """Press a button, follow a link, tick a box."""

    def write(self, field: Locator, text: str) -> None:
        """Put a text into a field, in place of what is there."""

    def submit(self, button: Locator) -> None:
        """Send the form in whose field the person has just written."""

    def pick(self, select: Locator, option: str) -> None:
        """Choose from a list of the browser's."""

    def take(self, option: Locator) -> None:
        """Choose from a list under a field that has the focus: people, places."""

    def choose(self, cell: Locator) -> None:
        """Choose from a grid that has the focus: emoji."""

    def turn_to(self, article: Locator) -> None:
        """Go to a message, so that it shows what can be done to it."""

    def leave(self, box: Locator) -> None:
        """Close a dialog or a panel."""

    def enter(self, room: Locator) -> None:
        """Go to a room by its link in the list."""


class Keyboard:
    """Keys alone: Tab leads everywhere, and the focus can be seen wherever it is."""

    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, page: Page) -> None:
        self.page = page

    def use(self, control: Locator) -> None:
        self._reach(control)
        self.page.keyboard.press(
            "Space" if control.get_attribute("type") == "checkbox" else "Enter"
        )

    def write(self, field: Locator, text: str) -> None:
        self._reach(field)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.press("Delete")
        self.page.keyboard.type(text)

    def submit(self, button: Locator) -> None:
        expect(button).to_be_visible()
        expect(button).to_be_enabled()
        self.page.keyboard.press("Enter")

    def pick(self, select: Locator, option: str) -> None:
        self._reach(select)
        self.page.keyboard.type(option)

    def take(self, option: Locator) -> None:
        expect(option).to_be_visible()
        for _ in range(STEPS):
            if option.get_attribute("aria-selected") == "true":
                break
            self.page.keyboard.press("ArrowDown")
        expect(option).to_have_attribute("aria-selected", "true")
        self.page.keyboard.press("Enter")

    def choose(self, cell: Locator) -> None:
        self._step(cell, "ArrowRight")
        self.page.keyboard.press("Enter")

    def turn_to(self, article: Locator) -> None:
        expect(article).to_be_visible()
        self._reach(self.page.get_by_role("log", name="Messages"))
        self.page.keyboard.press("ArrowUp")  # to where it was, or the last in view
        below = article.evaluate(_BELOW_FOCUS)
        self._step(article, "ArrowDown" if below else "ArrowUp")

    def leave(self, box: Locator) -> None:
        self.page.keyboard.press("Escape")
        expect(box).to_be_hidden()
        expect(self.page.locator(":focus")).to_have_count(1)  # it is not lost

    def enter(self, room: Locator) -> None:
        self.use(room)

    def _reach(self, control: Locator) -> None:
        expect(control).to_be_visible()
        expect(control).to_be_enabled()
        self._step(control, "Tab", STOPS)
        assert control.evaluate(_RINGED), f"nothing shows that {control} has the focus"

    def _step(self, to: Locator, key: str, most: int = STEPS) -> None:
        expect(to).to_be_visible()
        for _ in range(most):
            if to.evaluate(_FOCUSED):
                return
            self.page.keyboard.press(key)
        expect(to).to_be_focused()


class Touch:
    """A finger on a phone of 360 px: whatever it taps is wide enough and on the screen."""

    options: ClassVar[dict[str, Any]] = {"viewport": PHONE, "has_touch": True, "is_mobile": True}

    def __init__(self, page: Page) -> None:
        self.page = page

    def use(self, control: Locator) -> None:
        expect(control).to_be_visible()
        expect(control).to_be_enabled()
        found = self._at_rest(control)
        assert min(found["size"]) >= TARGET_PX, f"{found['size']} px for {control}"
        assert found["inside"], f"{control} is beside the screen"
        assert found["free"], f"{control} is covered"
        assert not found["wide"], f"the page is wider than the screen, at {control}"
        control.tap()

    def _at_rest(self, control: Locator) -> Any:
        """What `_TARGET` finds; a page that moves may draw it anew, or cover it for a moment."""
        deadline = time.monotonic() + WAIT_S
        while True:
            late = time.monotonic() > deadline
            try:
                control.scroll_into_view_if_needed()
                found = control.evaluate(_TARGET)
            except Error as error:
                if late or "not attached" not in error.message:
                    raise
            else:
                if late or found["free"]:
                    return found
            self.page.wait_for_timeout(20)  # ms

    def write(self, field: Locator, text: str) -> None:
        self.use(field)
        expect(field).to_be_focused()
        field.select_text()
        self.page.keyboard.insert_text(text)

    def submit(self, button: Locator) -> None:
        self.use(button)

    def pick(self, select: Locator, option: str) -> None:
        self.use(select)
        select.select_option(label=option)  # the phone's own list

    def take(self, option: Locator) -> None:
        self.use(option)

    def choose(self, cell: Locator) -> None:
        self.use(cell)

    def turn_to(self, article: Locator) -> None:
        article.locator(".text").tap()

    def leave(self, box: Locator) -> None:
        self.use(box.get_by_role("button", name="Close", exact=True))
        expect(box).to_be_hidden()

    def enter(self, room: Locator) -> None:
        back = self.page.get_by_role("link", name="Back to rooms")
        expect(room.or_(back).filter(visible=True).first).to_be_visible()  # the page is drawn
        if room.is_hidden():
            self.use(back)
        self.use(room)
