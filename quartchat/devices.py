"""What a browser calls itself, in words that its user knows: `Firefox on Windows`."""

# The first that stands in the header: each browser also names those that it wants to pass for.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
NAME_CHARACTERS = 64


def name(user_agent: str) -> str:
    """Name a device by its User-Agent header; a program by its first word."""
    browser = _first(BROWSERS, user_agent)
    system = _first(SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    program = user_agent.partition(" ")[0].partition("/")[0]
    printable = "".join(character for character in program if character.isprintable())
    return browser or system or printable[:NAME_CHARACTERS]


def _first(names: tuple[tuple[str, str], ...], text: str) -> str:
    return next((said for sign, said in names if sign in text), "")
