"""Where personal data stands in a text: e-mail addresses, phone numbers, IBANs, passport numbers, API keys.

For each kind a pattern finds candidates in one pass over the text; phonenumbers (Google's libphonenumber) and
schwifty (the registry of ISO 13616) decide on phone numbers and IBANs.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phonenumbers import PhoneNumberMatch

# Not inside a word; a newline that `repr` or JSON wrote as two characters is none.
_EDGE = r"(?:(?<![^\W_])|(?<=\\[nrt]))"


# API keys

_KEY = re.compile(
    _EDGE
    + r"""(?:
        sk-(?=[\w-]{0,200}\d)[\w-]{16,}                            # OpenAI, Anthropic
      | (?:hf|gsk|gh[oprsu]|github_pat)_\w{16,}                    # Hugging Face, Groq, GitHub
      | (?:[sprw]k|bsk)_(?:test|live)_[A-Za-z0-9]{8,}              # Stripe's form
      | glpat-[\w-]{16,} | xox[abeoprs]-[\w-]{10,}                 # GitLab, Slack
      | A(?:KIA|SIA)[A-Z0-9]{16} | AIza[\w-]{35}                   # Amazon, Google
      | (?<!-)eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?                 # JSON Web Token
      | [a-z]+\.apikey(?!\w)                                       # Argilla's defaults
    )
    # What a word says is a key, also as the end of a longer name ("X-Argilla-Api-Key: ...").
    | (?i:(?:api|access|secret|private)[ _-]?key|(?:api|access|auth|refresh)[ _-]?token|bearer|password)
      ["'`]?(?:\s{0,3}[:=]\s{0,3}|\s{1,3})["'`]?
      (?P<key>(?=[\w.~+/-]{0,200}\d)(?=[\w.~+/-]{0,200}[A-Za-z])[\w.~+/-]{11,}[\w~+/-]={0,2})
    | -----BEGIN[ ][A-Z ]{0,20}PRIVATE[ ]KEY-----\s{0,4}(?P<pem>[A-Za-z0-9+/\\][A-Za-z0-9+/=\s\\]{15,})
    """,
    re.VERBOSE | re.ASCII,
)


def _find_keys(text: str) -> Iterator[tuple[int, int]]:
    for match in _KEY.finditer(text):
        yield match.span(match.lastgroup or 0)


# E-mail addresses

_AT = re.compile(r"@|%40|＠")
_LONGEST_LOCAL_PART, _LONGEST_DOMAIN = 128, 255


def _find_emails(text: str) -> Iterator[tuple[int, int]]:
    for at in _AT.finditer(text):
        start, end = at.span()
        while start > max(0, at.start() - _LONGEST_LOCAL_PART) and _in_address(text[start - 1], "._%+'’~-"):
            start -= 1
        while end < min(len(text), at.end() + _LONGEST_DOMAIN) and _in_address(text[end], ".-"):
            end += 1
        local = text[start : at.start()].lstrip("._%+'’~-")
        domain = text[at.end() : end].rstrip(".-")
        top = domain.rpartition(".")[2]
        if local and len(top) > 1 and domain[0] not in ".-" and "." in domain and not top.isdigit():
            yield at.start() - len(local), at.end() + len(domain)


def _in_address(character: str, punctuation: str) -> bool:
    # Marks are vowels and the like in scripts such as Devanagari.
    return character.isalnum() or character in punctuation or unicodedata.category(character)[0] == "M"


# IBANs

_IBAN_GAP = r"[\s.·‐-―-]{0,2}"
_IBAN_START = re.compile(rf"{_EDGE}[A-Za-z]{_IBAN_GAP}[A-Za-z]{_IBAN_GAP}(?=\d{_IBAN_GAP}\d)")
_IBAN = re.compile(rf"[A-Za-z]{_IBAN_GAP}[A-Za-z](?:{_IBAN_GAP}[A-Za-z\d]){{13,32}}")
_IBAN_WORD = re.compile(r"\biban\b(?!\])", re.IGNORECASE)


def _find_ibans(text: str) -> Iterator[tuple[int, int]]:
    for start in _IBAN_START.finditer(text):
        match = _IBAN.match(text, start.start())
        if match and (end := _iban_end(text, match)):
            yield match.start(), end


def _iban_end(text: str, match: re.Match[str]) -> int | None:
    """Return where the IBAN with which a match begins ends; None where it is none."""
    places = [match.start() + index for index, character in enumerate(match[0]) if character.isalnum()]
    compact = "".join(_ascii_digit(text[place]) for place in places).upper()
    if sum(map(str.isdecimal, compact[:15])) < 7:  # prose: "in 2022 the ..."
        return None
    import schwifty
    from schwifty.exceptions import SchwiftyException

    try:
        length = schwifty.IBAN(compact[:2], allow_invalid=True).spec.iban_length
    except SchwiftyException:
        return None
    end = places[length - 1] + 1 if length <= len(places) else 0
    if not end or text[end : end + 1].isalnum():
        return None
    iban = schwifty.IBAN(compact[:length], allow_invalid=True)
    # Where the text says that it is an IBAN, a wrong check digit is a slip of the pen, or of the model.
    said = _IBAN_WORD.search(text, max(0, match.start() - 40), match.start()) and iban.spec.regex.match(iban.bban)
    return end if iban.is_valid or said else None


def _ascii_digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character


# Phone numbers

# Where a national number is looked for: the EU, its neighbours, Ukraine and Turkey.
_REGIONS = (
    *("DE", "FR", "IT", "ES", "PL", "RO", "NL", "BE", "SE", "GR", "PT", "CZ", "HU", "AT", "BG", "DK", "FI", "SK", "IE"),
    *("HR", "LT", "SI", "LV", "EE", "CY", "LU", "MT", "GB", "NO", "CH", "IS", "UA", "TR"),
)
_SPACES = "\u00a0\u2000-\u200a\u202f\u205f\u3000"
_UNSEEN = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069"
_PHONE = re.compile(
    rf"(?:{_EDGE}\(?[+＋][{_UNSEEN}]?[ {_SPACES}]?\(?|(?:(?<!\w)|(?<=\\[nrt]))(?<!\d[.,:'’])\(?)"
    rf"\d(?:[ {_SPACES}{_UNSEEN}().\[\]/~‐-―−-]{{0,4}}\d){{6,}}(?!\w)(?![.,:]\d)"
)
_PREFIX = re.compile(r"[+＋]|(?<!\d)[0٠۰०０]")
_DATE = re.compile(
    r"(?<!\d)(?:\d{1,2}([./-])\d{1,2}\1(?:19|20)\d\d|(?:19|20)\d\d([./-])\d{1,2}\2\d{1,2}"
    r"|(?:19|20)\d\d ?[/‐-―-] ?(?:19|20)\d\d)(?!\d)"
)
_THOUSANDS = re.compile(r"[+＋]?[1-9]\d{0,2}([ .])\d{3}(?:\1\d{3})*")
_UNIT = re.compile(r" ?(?:[%‰€$£₴₺°]|(?:EUR|USD|GBP|euros?|milli[oa]|mio|mrd)(?!\w))", re.IGNORECASE)
_BOOK_NUMBER = re.compile(r"IS[BS]N\D{0,8}$", re.IGNORECASE)
_PHONE_WORD = re.compile(
    r"""(?<![\w\[])(?:
        phone | smartphone | t[ée]l[ée](?:pho|f[oó]) | t[ée]l(?!\w) | telemóvel | mobil | móvil | mobiel | cell
      | celular | handy | rufnummer | festnetz | portable | komórk | cep | fax | hotline | whatsapp | wa\.me | viber
      | телефон | тел(?!\w) | моб | τηλ | κινητ | (?:ال)?هاتف | (?:ال)?جوال | موبايل | تلفون | تلفن
    )""",
    re.VERBOSE | re.IGNORECASE,
)


def _find_phones(text: str) -> Iterator[tuple[int, int]]:
    for run in _PHONE.finditer(text):
        if _PREFIX.search(run[0]) or _said(_PHONE_WORD, text, *run.span()):
            yield from _phones_in(run, text)


def _phones_in(run: re.Match[str], text: str) -> Iterator[tuple[int, int]]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    # libphonenumber knows fewer spaces; the length stays.
    plain = re.sub(rf"[{_SPACES}]", " ", re.sub(rf"[{_UNSEEN}]", "\u200b", run[0]))
    # The region is only for what is written from Europe: 00 for abroad, 0 for another place.
    for found in PhoneNumberMatcher(plain, "DE", Leniency.POSSIBLE):
        start, end = run.start() + found.start, run.start() + found.end
        if found.raw_string[0] == "(" and ")" not in found.raw_string:  # that of "(+49 30 1234567)"
            start += 1
        if _is_phone_number(found, text, start, end):
            yield start, end


def _is_phone_number(found: PhoneNumberMatch, text: str, start: int, end: int) -> bool:
    """Tell a phone number from other figures by its form and by what stands around it."""
    from phonenumbers import is_valid_number

    raw = "".join(map(_ascii_digit, found.raw_string)).lstrip("(（")
    digits = re.sub(r"\D", "", raw)
    abroad = raw[0] in "+＋" or (raw[:2] == "00" and digits.startswith(f"00{found.number.country_code}"))
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    part_of_an_id = re.search(r"\w[_-]\Z", before) or re.match(r"[_-]\w", after)
    if part_of_an_id or _DATE.search(raw) or _BOOK_NUMBER.search(text[max(0, start - 12) : start]):
        return False
    if _said(_PHONE_WORD, text, start, end):
        return abroad or (len(digits) > 7 and _is_valid_somewhere(digits))
    # Numbers without spaces inside may stand in a row; other rows are figures.
    joint = r"[.-]?" if raw.isdecimal() else r"[\s.-]?"
    if re.search(rf"\d{joint}\Z", before) or re.match(rf"{joint}\d", after) or _UNIT.match(text, end):
        return False
    if abroad:
        # Bare digits after 00 may be any number, and so may thousands after a plus.
        return not (_THOUSANDS.fullmatch(raw) or raw.isdecimal()) or is_valid_number(found.number)
    part_of_an_address = before[-1:] in tuple("/=#@&")
    return not part_of_an_address and _is_written_like_one(raw, digits) and _is_valid_somewhere(digits)


def _is_written_like_one(raw: str, digits: str) -> bool:
    """Tell a national number from figures and times: a leading 0, and separators of one sort."""
    inner = re.sub(r"[()\[\]\u200b]", "", raw)
    sorts = {separator.strip() or " " for separator in re.findall(r"\D+", inner)}
    if not digits.startswith("0") or not 9 <= len(digits) <= 12 or re.match(r"0[.,]|0 \d(?!\d)", inner):
        return False
    return not re.search(r"\s\s|\.\s|/.*/", inner) and (sorts == {"."} or "." not in sorts)


@functools.lru_cache(maxsize=4096)
def _is_valid_somewhere(digits: str) -> bool:
    from phonenumbers import NumberParseException, is_valid_number, parse

    for region in _REGIONS:
        try:
            if is_valid_number(parse(digits, region)):
                return True
        except NumberParseException:
            continue
    return False


def _said(word: re.Pattern[str], text: str, start: int, end: int, before: int = 40, after: int = 20) -> bool:
    """Tell whether a word stands shortly before or after a place."""
    return bool(word.search(text, max(0, start - before), start) or word.search(text, end, end + after))


# Numbers of passports and other personal papers

_PAPER = re.compile(
    r"""
        (?<!\[)pass-?port | \bid[ -]?(?:card|document|number|no\b|nr\b) | identity[ ](?:card|document|number|paper)
      | national[ ]id | travel[ ]document | document[ ](?:number|no\b|nr\b) | residence[ ](?:permit|card|title)
      | driv(?:er['’]s|ing)[ ]licen[cs]e | social[ ]security
      | \bpass(?:nummer|nr|\b) | reisep[aä]ss | ausweis | aufenthalts(?:titel|erlaubnis|karte|gestattung) | führerschein
      | passeport | carte[ ](?:nationale[ ])?d['’]identité | pièce[ ]d['’]identité | titre[ ]de[ ](?:séjour|voyage)
      | permis[ ]de[ ](?:séjour|conduire) | pasaporte | documento[ ](?:nacional[ ])?(?:de[ ]|d['’])ident
      | \b(?:DNI|NIE)\b | tarjeta[ ]de[ ](?:identidad|residencia) | passaport | carta[ ]d['’]identità | codice[ ]fiscale
      | permesso[ ]di[ ]soggiorno | paspoort | identiteits | verblijfs(?:vergunning|document) | rijbewijs
      | \bBSN\b | burgerservicenummer | paszport | dow[oó]d\w{0,4}[ ]osobist | kart\w{0,3}[ ]pobytu | \bPESEL\b
      | cartão[ ]de[ ](?:cidadão|residência) | bilhete[ ]de[ ]identidade | pa[sșş]aport | \bCNP\b | personnummer
      | (?:carte|buletin)\w{0,3}[ ]de[ ]identitate | permis\w{0,3}[ ]de[ ][sșş]edere | kimlik | ikamet
      | паспорт | посвідч | посвідк | ідентифікаційн | ID-карт | удостоверени
      | جواز(?:[ ](?:ال)?سفر)? | هوية | الإقامة | گذرنامه | پاسپورت | تذكرة | تذکره
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PAPER_NUMBER = re.compile(
    r"""(?:(?<!\w)|(?<=\\[nrt]))(?<!\w[/_-])(?:
        [^\W\d_]{1,3}\d(?:[ -]?\d){5,9}[A-Za-z]?                               # AB1234567, U12345678, X1234567L
      | (?!(?:EU|UE|EC|NO|NR|ID|ISO|EUR|USD|DNI|NIE|BSN|CNP)\b)
        [A-ZА-ЯІЇЄҐ]{1,3}[ -]\d(?:[ -]?\d){5,9}                                # AB 12 34 567
      | \d{8}[ -]?[A-Za-z]                                                     # 12345678Z (Spain)
      | (?=[A-Z]*\d[A-Z\d]*[A-Z])(?=(?:[A-Z]*\d){4})[A-Z\d]{8,10}              # C01X00T47, 12AB34567
      | [A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]                                   # codice fiscale
      | (?P<digits>\d{7,13}|\d{1,8}(?:[ -]\d{2,6}){1,5})
    )(?![/_-]?\w)""",
    re.VERBOSE,
)
_CELEX = re.compile(r"[1-9]\d{4}[A-Z]{1,2}\d{4}")
_NUMBER = re.compile(
    r"numb|numm|num[eé]r|número|număr|numar|номер|(?<!\w)(?:no|nr|n[°ºo]|num)(?!\w)|[№#]|رقم|شماره|PESEL|CNP|BSN|fiscale",
    re.IGNORECASE,
)


def _find_papers(text: str) -> Iterator[tuple[int, int]]:
    for match in _PAPER_NUMBER.finditer(text):
        start, end = match.span()
        if match["digits"]:
            found = _is_said_to_be_a_number(text, start, end)
        else:
            found = not _CELEX.fullmatch(match[0]) and _said(_PAPER, text, start, end, before=60, after=40)
        if found:
            yield start, end


def _is_said_to_be_a_number(text: str, start: int, end: int) -> bool:
    """Tell whether digits follow a word for a paper at once, or a word for the number of one."""
    if not 7 <= sum(map(str.isdecimal, text[start:end])) <= 13 or _DATE.search(text, start, end):
        return False
    papers = list(_PAPER.finditer(text, max(0, start - 60), start))
    if not papers:
        return False
    paper, between = papers[-1][0], text[papers[-1].end() : start]
    if _NUMBER.search(paper + between):
        return True
    if _THOUSANDS.fullmatch(text, start, end) or re.match(r"e?s\b", between):  # "the number of passports: 1 234 567"
        return False
    before = text[max(0, papers[-1].start() - 16) : papers[-1].start()]
    return not between.strip(" \t:*_`\"'«“|") or bool(_NUMBER.search(before))


FINDERS: Mapping[str, Callable[[str], Iterator[tuple[int, int]]]] = {
    "api_key": _find_keys,
    "email": _find_emails,
    "iban": _find_ibans,
    "passport": _find_papers,
    "phone": _find_phones,
}
"""Yield the places of each kind in a text: where they begin and end."""
