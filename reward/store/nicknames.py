"""Nicknames: one spelling, and names that look alike.

A newcomer's nickname must not look like one that is there, or people could vote under a name that
others take for somebody else's. Names are compared by their skeleton, as in Unicode's UTS #39: the
same for "Anna", "ANNA" and "Anna" with a Cyrillic A.

Differs from UTS #39: case does not matter, so I, l, i and 1 are one, and "Kai" and "Kal" alike; the
table has the letters of Greek and Cyrillic that look Latin, and not those of other scripts, because
a newcomer's name may not mix scripts.
"""

from __future__ import annotations

import unicodedata

from reward.store.database import RatingsError, check_text

MOST_LETTERS = 40
SKELETON_LETTERS = 80
EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO")
"""scripts that are written together, and with Latin letters"""
_LOOK_LIKE = {
    **dict(zip("01i|ıȷ", "ollllj", strict=True)),
    # Cyrillic, then Greek: small letters, by how their capitals look where only these look Latin.
    **dict(zip("авгезіїјкмнорстухһԁԛԝѕѵьӏԍ", "abre3lljkmhopctyxhdqwsvblg", strict=True)),
    **dict(zip("αβγεζηικμνορστυχω", "abyeznlkmvopotuxw", strict=True)),
}
_JOINED = (("rn", "m"), ("vv", "w"))
"""letters side by side that look like one"""
_IGNORED = frozenset(
    (
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
        *(*range(0x180B, 0x180F), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),
    )
)
"""code points that print as nothing, though `str.isprintable` lets them pass"""


def tidy(nickname: str) -> str:
    """One spelling of a nickname, in Unicode's form NFC.

    Raises:
        RatingsError: when nothing readable is left, or too much.
    """
    check_text("nickname", nickname, 1, 200)
    tidied = " ".join(unicodedata.normalize("NFC", nickname).split())
    check_text("nickname", tidied, 1, MOST_LETTERS)
    if not tidied.isprintable():
        raise RatingsError(f"nickname={nickname!r} holds characters that do not print; drop them")
    return tidied


def is_same_nickname(one: str, other: str) -> bool:
    """Whether both are one nickname; spaces around it and the form of Unicode do not matter."""
    one, other = (unicodedata.normalize("NFC", " ".join(name.split())) for name in (one, other))
    return one == other


def skeleton(nickname: str) -> str:
    """The same text for names that look alike; nothing that people are shown."""
    shown = "".join(character for character in nickname if ord(character) not in _IGNORED)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", shown).casefold())
    plain = "".join(_one(character) for character in folded)
    for two, one in _JOINED:
        plain = plain.replace(two, one)
    return " ".join(plain.split())[:SKELETON_LETTERS]


def check_readable(nickname: str) -> None:
    """Refuse a newcomer's name that mixes scripts, or that has no letter, digit or symbol to see.

    Latin letters may stand beside Chinese, Japanese and Korean ones.

    Raises:
        RatingsError: with the scripts.
    """
    if not skeleton(nickname):
        raise RatingsError(f"nickname={nickname!r} has nothing that can be seen; write letters")
    folded = unicodedata.normalize("NFKC", nickname)
    scripts = {_script(character) for character in folded if character.isalpha()} - {""}
    if len(scripts) > 1 and scripts != {"EAST ASIAN", "LATIN"}:
        mixed = " and ".join(sorted(name.capitalize() for name in scripts))
        raise RatingsError(
            f"nickname={nickname!r} mixes {mixed} letters, which can look like another's name; "
            "write it in one alphabet"
        )


def _one(character: str) -> str:
    if unicodedata.category(character) == "Pd":
        return "-"
    return _LOOK_LIKE.get(character, character)


def _script(letter: str) -> str:
    """Such as "LATIN"; nothing for letters of no script, such as modifiers."""
    if unicodedata.category(letter) == "Lm":
        return ""
    script = unicodedata.name(letter, "UNKNOWN").split()[0]
    return "EAST ASIAN" if script in EAST_ASIAN else script
