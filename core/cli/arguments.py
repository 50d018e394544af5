"""Global options are accepted before and after any command: they are taken out before Typer parses."""

GLOBAL_OPTIONS = ("--db", "--cache", "--base_url", "--state", "--config_file", "--lock_wait", "--max_wait")


def same_name(word: str) -> str:
    """`-` and `_` are interchangeable in every command and option."""
    return word.replace("-", "_")


def split_globals(arguments: list[str]) -> tuple[dict[str, str | None], list[str]]:
    """The global options that were given, and all other words.

    The last of a repeated option counts; one without a value stays a word for Typer to complain about.
    """
    given: dict[str, str | None] = {}
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            return given, [*rest, word, *words]
        option, equals, value = word.partition("=")
        name = "--" + same_name(option[2:]) if option.startswith("--") else option
        if name not in GLOBAL_OPTIONS:
            rest.append(word)
        elif equals:
            given[name[2:]] = value
        elif (following := next(words, None)) is not None:
            given[name[2:]] = following
        else:
            rest.append(word)
    return given, rest
